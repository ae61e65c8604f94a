"""Decoding of what is read of tokens that are there before the first: of a fusion, of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmspec.compiler import ir
from mmspec.compiler.emit import decoding, sight
from mmspec.compiler.specialise.functions import Site

if TYPE_CHECKING:
    from mmspec.compiler.emit.decoding import Steps


def fused(node: ir.Fuse, read: ir.Attention, steps: Steps) -> None:
    """A fusion by cross-attention: its context is kept as a whole."""
    segment, source = steps.decoding.segment, steps.tensors[node.out.name]
    context = sight.seen(read.groups, segment, read.keys)
    if not context:
        return
    owner = read.owner
    of = f"the fusion of stream {node.stream}"
    sees = sight.Sight(f"{owner}_sees", of, segment, read.groups)
    steps.sources.append(sees.function(tuple(context)))
    classes = {p: item.handle.name for p, item in steps.classes(node.module or "").items()}
    site = Site(owner, classes)
    constants = {"heads": read.heads}
    take = steps.functions.request("take_context", constants, site).name
    for one in context:
        slots = decoding.slots_of(steps, owner, sees, one, read.keys)
        layers = f"[model.{node.module}.attention.key_value]"
        steps.recorders.append(f'"{owner}.{one.name}": KeyRecorder({layers}, {take}, {slots})')
    made = steps.functions.request("next_read", constants, site)
    places = ", ".join(f'kept["{owner}.{one.name}"].place_bs' for one in context)
    mask = f"{owner}_sees(at_bc, {places if len(context) == 1 else f'({places})'})"
    given = f"{source}, {mask}, {decoding.tokens_kept(owner, context)}"
    call = f"{made.name}(model.{node.module}.attention, {given})"
    out = f"{node.out.name}_bcd"
    steps.tensors[node.out.name] = out
    steps.body.append(f"{out} = {call}")


def crossed(node: ir.Stack, one: ir.Sublayer, site: Site, steps: Steps) -> str:
    """Write who records the keys of another stream, all of whose tokens are kept; what they are."""
    read = one.mixer
    assert isinstance(read, ir.Attention) and read.read is not None, one
    name = f"{node.stream}_{one.name}"
    depth = steps.requests.named.of("depth", node.depth, node.stream)
    path = f"{node.module}.blocks.{{place}}.{one.name}"
    lists = [("layers", "key_value"), *([("norms", "key_norm")] if read.norm else [])]
    for what, inner in lists:
        each = f'model.get_submodule(f"{path}.{inner}")'
        steps.before.append(f"{name}_{what} = [{each} for place in range({depth})]")
    places = [steps.place(segment) for segment in read.keys]
    place = places[0] if len(places) == 1 else f"torch.cat(({', '.join(places)}), dim=1)"
    take = steps.functions.request("take_context", {"heads": read.kv_heads}, site).name
    taken = f"{take}, every_token({place})"
    made = decoding.recorder(steps, site, read, name, taken, "norm_context_keys", node.repeat)
    steps.recorders.append(f'"{name}": {made}')
    return f'kept["{name}"]'


def pooled(node: ir.Fuse, once: ir.Once, steps: Steps) -> None:
    """A fusion that pools what is there before the first token: what it made of that is kept."""
    name = f"{node.stream}_fusion.{once.layer}"
    pools = [read for read in node.readings() if isinstance(read, ir.Pool)]
    values = [value for pool in pools for value in pool.values]
    every = list(dict.fromkeys(segment for value in values for segment in value.segments))
    places = ", ".join(steps.place(segment) for segment in every)
    slot = f"one_slot(({places}{',' if len(every) == 1 else ''}))"
    layers = f"[model.{node.module}.{once.layer}]"
    steps.recorders.append(f'"{name}": KeyRecorder({layers}, take_row, {slot})')
    source, out = steps.tensors[node.out.name], f"{node.out.name}_bcd"
    steps.tensors[node.out.name] = out
    steps.body.append(f'{out} = {once.step}({source}, kept["{name}"])')
