"""Decoding of a stack whose layers are of several kinds: each kind keeps keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmspec.compiler import ir
from mmspec.compiler.emit import decoding
from mmspec.compiler.specialise.classes import Class
from mmspec.compiler.specialise.functions import Function, Site
from mmspec.compiler.specialise.origin import Nested
from mmspec.compiler.specialise.trim import expressions

if TYPE_CHECKING:
    from mmspec.compiler.emit.decoding import Kept, Steps


def stack(node: ir.Stack, steps: Steps) -> None:
    """Write a function for the layers of a stream, and its call."""
    made: dict[str, Kept] = {}
    layers: list[tuple[str, str, Function, ir.Attention]] = []
    for number, (block, of_kind) in enumerate(
        zip(node.variants, _blocks(node, steps), strict=True)
    ):
        (read,) = block.attentions
        owner = f"{node.stream}_{block.variant}"
        classes = steps.below([of_kind])
        site = decoding.site_of(owner, block, classes)
        if read.owner not in made:
            depth = steps.requests.named.of("depth", node.depth, node.stream)
            numbers = {
                i for i, one in enumerate(node.variants) if one.attentions[0].owner == read.owner
            }
            path = f"{node.module}.blocks.{{place}}.{node.attending[0].name}"
            places = f"for place in range({depth}) if {_when(node, numbers)}"
            lists = [("layers", "qkv"), *([("norms", "key_norm")] if read.norm else [])]
            for name, inner in lists:
                each = f'model.get_submodule(f"{path}.{inner}")'
                steps.before.append(f"{read.owner}_{name} = [{each} {places}]")
            made[read.owner] = decoding.keys(node, read, site, steps)
        kept = made[read.owner]
        constants = {"of": block, "segment": kept.segment, "joint": bool(kept.context)}
        constants["on_line"] = kept.on_line
        function = steps.functions.request("next_layer", constants, site)
        layers.append((_when(node, {number}), of_kind.handle.name, function, read))
    steps.ends.append("\n".join(_function(node, steps, made, layers)) + "\n")
    given = f"model.{node.module}, {steps.tensors[node.source.name]}, at_bc, kept"
    steps.body.append(f"{steps.tensors[node.out.name]} = {node.stream}_next_layers({given})")


def _function(
    node: ir.Stack,
    steps: Steps,
    made: dict[str, Kept],
    layers: list[tuple[str, str, Function, ir.Attention]],
) -> Iterator[str]:
    stack_ = steps.requests.name(node.module)
    yield f"def {node.stream}_next_layers("
    yield f"    stack: {stack_}, x_bcd: Tensor, at_bc: Tensor, kept: dict[str, CachedKeys]"
    yield ") -> Tensor:"
    yield '    """The next tokens through all layers; `kept` then holds their keys too."""'
    turning = [read for *_, function, read in layers if "turn" in function.left]
    turns = _turns(turning)
    for rotary, turn in turns.items():
        yield f"    {turn} = {_turn(node, rotary, steps)}"
    for owner, kept in made.items():
        around = f", {kept.around}" if kept.context else ""
        yield f"    {owner} = next_keys({kept.own}, at_bc, {owner}_sees{around})"
    often = f"[*stack.blocks] * {node.repeat}" if node.repeat > 1 else "stack.blocks"
    yield f"    for place, block in enumerate({often}):"
    for at, (when, name, function, read) in enumerate(layers):
        last = at == len(layers) - 1
        yield "        else:" if last else f"        {'elif' if at else 'if'} {when}:"
        known = {"block": "block", "x_bcd": "x_bcd", "mask": f"{read.owner}.mask"}
        known["turn"] = turns.get(read.rotary and read.rotary.angles, "")
        known["offset_bcs"] = f"at_bc[:, :, None] - {read.owner}.place_bs[:, None]"
        known |= {"past": f"{read.owner}.past()", "around": f"{read.owner}.around()"}
        arguments = ", ".join(known[each] for each in function.left)
        yield f"            assert isinstance(block, {name})"
        yield f"            x_bcd, made = {function.name}({arguments})"
        yield f"            {read.owner}.layers.append(made)"
    for owner, kept in made.items():
        cached = f"{owner}.cached()"
        if kept.living is not None:
            alive = f"{owner}_keeps({owner}.place_bs, at_bc[:, -1:] + 1)"
            cached = f"forget({cached}, {alive}, {kept.living.most})"
        yield f"    {kept.own} = {cached}"
    yield "    return stack.norm(x_bcd)" if node.final_norm is not None else "    return x_bcd"


def _turns(sites: list[ir.Attention]) -> dict[ir.Rotary | None, str]:
    """What angles are called by which rotary turns the next tokens: after whose they are first."""
    first = {site.rotary.angles: site for site in reversed(sites) if site.rotary is not None}
    if len(first) == 1:
        return dict.fromkeys(first, "turn")
    return {rotary: f"{site.variant}_turn" for rotary, site in reversed(first.items())}


def _turn(node: ir.Stack, rotary: ir.Rotary | None, steps: Steps) -> str:
    """The angles by which rotary turns the next tokens."""
    assert rotary is not None, node
    if rotary.usual:
        return f"turned(at_bc, {steps.requests.named.of('head_width', rotary.width, node.stream)})"
    made = steps.functions.request("turned_by", {"rotary": rotary}, Site(node.stream, {}))
    return f"{made.name}(at_bc)"


def _blocks(node: ir.Stack, steps: Steps) -> list[Class]:
    """The class of each variant's blocks, of those that the stack's class makes."""
    known, name = steps.specialiser.classes, steps.requests.name(node.module)
    (whole, *_) = (item for item in known.values() if item.handle.name == name)
    calls = (each for member in whole.members for each in expressions(member))
    ids = (call.func.id for call in calls if isinstance(call, Nested))  # type: ignore[attr-defined]
    made = [known[each] for each in ids if known[each].part == "Block"]
    numbers = [number for runs, _ in node.pieces for number, _ in runs]
    found = dict(zip(numbers, made, strict=True))
    return [found[number] for number in range(len(node.variants))]


def _when(node: ir.Stack, numbers: set[int]) -> str:
    """Whether the layer at `place` is of one of these variants."""
    period = min(len(node.order), node.depth)
    places = [i for i in range(period) if node.order[i] in numbers]
    others = [i for i in range(period) if node.order[i] not in numbers]
    place = "place"
    if node.repeat > 1 and (node.depth % period or node.depth == period):
        place = f"{place} % {node.depth}"  # it counts on from pass to pass
    if node.depth > period:
        place = f"{place} % {period}"
    if len(places) == 1:
        return f"{place} == {places[0]}"
    if len(others) == 1:
        return f"{place} != {others[0]}"
    return f"{place} in ({', '.join(map(str, places))})"
