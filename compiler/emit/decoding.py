"""Plan -> the source of `decoding.py`: prefill of a prompt, and decoding of what comes after it."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

from mmspec.compiler import ir
from mmspec.compiler.emit import decoding_across as across
from mmspec.compiler.emit import decoding_varied as varied
from mmspec.compiler.emit import inputs, sight
from mmspec.compiler.emit.decodable import Decoding, decoding
from mmspec.compiler.emit.heads import scaled
from mmspec.compiler.emit.model import LEGEND as LETTERS
from mmspec.compiler.emit.model import part_modules, unexecuted
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.specialise.classes import Class
from mmspec.compiler.specialise.functions import Functions, Site
from mmspec.compiler.specialise.source import Library, library, names_used
from mmspec.compiler.specialise.specialise import Specialiser

if TYPE_CHECKING:
    from mmspec.compiler.relations.meaning.alive import Alive

SUMMARY: Final = "Decoding: a prompt, then the tokens after it from kept keys and values."
LEGEND: Final = {**LETTERS, "c": "next tokens", "s": "kept keys"}


@cache
def parts() -> Library:
    """What `parts/decoding.py` and `parts/decoding_layers.py` define."""
    return library((unexecuted("parts.decoding"), unexecuted("parts.decoding_layers")))


@dataclass
class Steps:
    """What has been written so far of `prefill` and `decode`, and of what they call."""

    plan: ir.Plan
    decoding: Decoding
    requests: Requests
    specialiser: Specialiser
    functions: Functions
    sources: list[str] = field(default_factory=list)
    """Functions that say what is seen and what is kept."""
    places: dict[str, str] = field(default_factory=dict)
    """Segment -> statement of `prefill` that says which of its tokens there are."""
    recorders: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """Functions that call specialised ones."""
    before: list[str] = field(default_factory=list)
    """Statements of `prefill` that name layers."""
    body: list[str] = field(default_factory=list)
    """Statements of `decode`."""
    tensors: dict[str, str] = field(default_factory=dict)
    """Value -> variable of the next tokens in it."""

    def place(self, segment: ir.Segment) -> str:
        """The variable of which tokens of a segment there are."""
        name = f"{segment.name}_bt"
        if segment.name not in self.places:
            self.places[segment.name] = f"{name} = {_placed(self, segment)}"
        return name

    def start(self, segments: tuple[ir.Segment, ...], segment: ir.Segment) -> str:
        """Where a segment begins in a sequence."""
        before = segments[: segments.index(segment)]
        fixed = [s.tokens.max for s in before if s.tokens.symbol is None and not s.optional]
        moving = [s for s in before if s.tokens.symbol is not None or s.optional]
        terms = [f"{self.place(s)}.shape[1]" for s in moving]
        return " + ".join([*terms, *([str(sum(fixed))] if fixed or not terms else [])])

    def classes(self, module: str) -> dict[str, Class]:
        """Classes of a module and all below it, by the part they come from."""
        name = self.requests.name(module)
        classes = self.specialiser.classes.values()
        return self.below([item for item in classes if item.handle.name == name])

    def below(self, ahead: list[Class]) -> dict[str, Class]:
        """Some classes and all below them, by the part they come from."""
        known = self.specialiser.classes
        found: dict[str, Class] = {}
        while ahead:
            item = ahead.pop()
            found.setdefault(item.part, item)
            ids = (name for member in item.members for name in names_used(member))
            ahead += [known[name] for name in ids if name in known]
        return found


def sources(plan: ir.Plan, requests: Requests, specialiser: Specialiser) -> list[str]:
    """Definitions of `decoding.py`, each after what it needs; none where the model cannot decode.

    Names that they read without defining them are of the model's own files, or of `helpers`.
    """
    found = decoding(plan)
    if found is None:
        return []
    functions = Functions(parts(), requests.named.constants)
    steps = Steps(plan, found, requests, specialiser, functions)
    for node in found.nodes:
        _step(node, steps)
    made = [function.source for function in steps.functions.made.values()]
    ends = ["\n".join(lines) + "\n" for lines in (_prefill(steps), _decode(steps))]
    return [*steps.sources, *made, *steps.ends, *ends]


def helpers(names: Iterable[str], there: Container[str]) -> Iterator[str]:
    """Sources of the helpers among some names and of those they need, which come first.

    there: names that the model's own files define.
    """
    known = {**library(part_modules()).helpers, **parts().helpers}
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in known and name not in seen and name not in there:
            seen.add(name)
            for other in sorted(names_used(known[name].statement)):
                yield from visit(other)
            yield known[name].source

    for name in sorted(names):
        yield from visit(name)


def _step(node: ir.Node, steps: Steps) -> None:
    """Write what the next tokens do in one node."""
    out = f"{node.out.name}_bcd"
    steps.tensors[node.out.name] = out
    if isinstance(node, ir.Embed):
        steps.body.append(f"{out} = {_embedded(node, steps)}")
    elif isinstance(node, ir.Project):
        steps.body.append(f"{out} = model.{node.module}({steps.tensors[node.source.name]})")
    elif isinstance(node, ir.Stack):
        _stack(node, steps)
    else:
        of = next(v for v in node.sources if steps.decoding.segment in v.segments)
        steps.tensors[node.out.name] = steps.tensors[of.name]
        for site in node.attentions:
            if not site.own:
                across.fused(node, site, steps)
        if node.fusion.once is not None:
            across.pooled(node, node.fusion.once, steps)


def _embedded(node: ir.Embed, steps: Steps) -> str:
    rows = f"model.{node.table or node.module}.table(ids_bc)"
    if node.sum.position.kind not in ("learned", "sincos") and not node.sum.finishes:
        return rows
    site = Site(node.module, {"TokenEmbedding": steps.requests.name(node.module)})
    constants = {"rows": node.sum, "width": node.out.width}
    made = steps.functions.request("next_embedded", constants, site)
    given = {"embedding": f"model.{node.module}", "x_bcd": rows, "at_bc": "at_bc"}
    given["added"] = "added"
    return f"{made.name}({', '.join(given[name] for name in made.left)})"


def _stack(node: ir.Stack, steps: Steps) -> None:
    """A stream's blocks: what their attention keeps, and the call."""
    if len(node.variants) > 1:
        varied.stack(node, steps)
        return
    (read,) = (one for one in node.attentions if one.own)
    site = _site(node, steps)
    layers = f"{read.owner}_layers"
    attention = site.classes["Attention"]
    every = f"model.{node.module}.modules()"
    steps.before.append(
        f"{layers} = [layer.qkv for layer in {every} if isinstance(layer, {attention})]"
    )
    if read.norm is not None:
        keyed = f"[layer.key_norm for layer in {every} if isinstance(layer, {attention})]"
        steps.before.append(f"{read.owner}_norms = {keyed}")
    kept = keys(node, read, site, steps)
    constants = {
        "of": node.variants[0],  # pyright: ignore[reportGeneralTypeIssues]
        "repeat": node.repeat,
        "final_norm": node.final_norm is not None,
        "segment": steps.decoding.segment,
        "joint": bool(kept.context),
        "on_line": kept.on_line and node.common is None,
        "common": kept.on_line and node.common is not None,
        "sees": ast.Name(f"{read.owner}_sees", ast.Load()),
        "keeps": ast.Name(f"{read.owner}_keeps", ast.Load()),
        "forgets": kept.living is not None,
        "most": kept.living and kept.living.most,
    }
    crossed = [across.crossed(node, one, site, steps) for one in node.crossing]
    made = steps.functions.request("next_stacked", constants, site)
    given = {
        "stack": f"model.{node.module}",
        "x_bcd": steps.tensors[node.source.name],
        "at_bc": "at_bc",
        "own": kept.own,
        "context": kept.around,
        "crossed": crossed[0] if crossed else "",
    }
    arguments = ", ".join(given[name] for name in made.left)
    steps.body.append(f"{steps.tensors[node.out.name]}, {kept.own} = {made.name}({arguments})")


@dataclass(frozen=True, slots=True)
class Kept:
    """What layers of a site keep: segments besides the own one, and which keys stay.

    on_line: whether scores are relative within the own one.
    """

    owner: str
    segment: ir.Segment
    context: tuple[ir.Segment, ...]
    living: Alive | None
    on_line: bool

    @property
    def own(self) -> str:
        """The keys of the segment that is decoded."""
        return f'kept["{self.owner}.{self.segment.name}"]'

    @property
    def around(self) -> str:
        """The keys of the others, as a tuple."""
        return tokens_kept(self.owner, self.context)


def keys(node: ir.Stack, read: ir.Attention, site: Site, steps: Steps) -> Kept:
    """Write what the next tokens see of a site and what it keeps, and who records that."""
    segment, segments, owner = steps.decoding.segment, node.source.segments, read.owner
    context = [s for s in sight.seen(read.groups, segment, segments) if s != segment]
    sees = sight.Sight(f"{owner}_sees", read.of, segment, read.groups)
    steps.sources.append(sees.function((*context, segment)))
    living = sees.alive(segment)
    if living is not None:
        steps.sources.append(sees.keeping(f"{owner}_keeps", living))
    for one in (*context, segment):
        constants = {"of": read, "rotary": one.rotary}
        take = steps.functions.request("take_keys", constants, site).name
        slots = slots_of(steps, owner, sees, one, segments)
        taken = f"{take}, {slots}"
        made = recorder(steps, site, read, owner, taken, "norm_keys", node.repeat)
        steps.recorders.append(f'"{owner}.{one.name}": {made}')
    on_line = segment.name in read.lines
    return Kept(owner, segment, tuple(context), living, on_line)


def recorder(
    steps: Steps,
    site: Site,
    read: ir.Attention,
    name: str,
    taken: str,
    normed: str,
    repeat: int = 1,
) -> str:
    """The call that makes who records the keys of `{name}_layers`.

    taken: what takes them, and the slots; normed: the part that norms them by `{name}_norms`, where
    the site norms keys. repeat: how often the layers run.
    """
    times = f" * {repeat}" if repeat > 1 else ""
    given = f"{name}_layers{times}, {taken}"
    if read.norm is None:
        return f"KeyRecorder({given})"
    norm = steps.functions.request(normed, {"of": read}, site).name
    return f"NormedKeyRecorder({given}, norms={name}_norms{times}, norm={norm})"


def _site(node: ir.Stack, steps: Steps) -> Site:
    return site_of(node.stream, node.variants[0], steps.classes(node.module))


def site_of(owner: str, block: ir.Block, classes: Mapping[str, Class]) -> Site:
    """Where functions of a block's kind are specialised for: its classes, by part."""
    calls = {}
    for one in block.sublayers:
        if not isinstance(one.mixer, ir.Attention):
            called = classes[type(one.mixer).__name__].signatures["forward"]
            calls[one.name] = (called.before, called.after)
    return Site(owner, {part: item.handle.name for part, item in classes.items()}, calls)


def tokens_kept(owner: str, segments: Iterable[ir.Segment]) -> str:
    """The kept keys of some segments, as a tuple."""
    names = [f'kept["{owner}.{segment.name}"]' for segment in segments]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def slots_of(
    steps: Steps,
    owner: str,
    sees: sight.Sight,
    segment: ir.Segment,
    segments: tuple[ir.Segment, ...],
) -> str:
    """The call that chooses which keys of a segment are kept of a prompt."""
    place, living = steps.place(segment), sees.alive(segment)
    start = steps.start(segments, segment)
    alive, most = f"{place} >= 0", living and living.most
    if living is not None:
        there = f"({alive}) & ({living.source(place)})"
        own = segment == sees.segment
        alive = f"{owner}_keeps({place}, length_b[:, None])" if own else there
    where = [f"start={start}"] if start != "0" else []
    where += [f"most={most}"] if most is not None else []
    return f"kept_tokens({', '.join([place, alive, *where])})"


def _placed(steps: Steps, segment: ir.Segment) -> str:
    """Which tokens of a segment there are, from the inputs of the model."""
    name, most = segment.modality or segment.leads, segment.tokens.max
    if name is None:
        return f"placed_tokens(None, batch, {most}, device)"
    given = next(x for x in steps.plan.inputs if x.name == name)
    length, tokens = inputs.length(given), inputs.count(given)
    if segment.leads is not None:
        tokens = str(most)
    if segment.tokens.symbol is None:
        length = f"whole_tokens({length}, {most})"
    if given.optional and segment != steps.decoding.segment:
        tokens = f"0 if {name} is None else {tokens}"
    return f"placed_tokens({length}, batch, {tokens}, device)"


def _prefill(steps: Steps) -> Iterator[str]:
    plan, segment = steps.plan, steps.decoding.segment.name
    steps.place(steps.decoding.segment)
    yield "def prefill("
    yield f"    model: {plan.class_name},"
    yield "    *,"
    names = [given.name for given in plan.inputs]
    for given in plan.inputs:
        optional = given.optional and given.name != segment
        yield f"    {given.name}: {'Tensor | None = None' if optional else 'Tensor'},"
    yield "    lengths: Mapping[str, Tensor] | None = None,"
    if inputs.packed(plan):
        yield "    documents: Mapping[str, Tensor] | None = None,"
        names.append("documents")
    if inputs.added(plan):
        yield "    added: Mapping[str, Tensor] | None = None,"
        names.append("added")
    yield f") -> tuple[{plan.class_name}Output, KeyCache]:"
    yield f'    """What the model says of a prompt of {segment}, and the cache that `decode` takes.'
    yield ""
    yield "    Inputs are those of the model, which should be in evaluation."
    yield '    """'
    yield from (f"    {line}" for line in inputs.prompt(plan, segment))
    yield from (f"    {line}" for line in steps.places.values())
    yield f"    length_b = ({segment}_bt >= 0).sum(dim=1)"
    yield from (f"    {line}" for line in steps.before)
    yield "    recorders = {"
    yield from (f"        {entry}," for entry in steps.recorders)
    yield "    }"
    yield "    with watched_layers(recorders.values()):"
    given_names = ", ".join(f"{name}={name}" for name in [*names, "lengths"])
    yield f"        output: {plan.class_name}Output = model({given_names})"
    yield "    kept_parts = {name: recorder.cached() for name, recorder in recorders.items()}"
    yield "    return output, KeyCache(length_b, most_tokens(length_b), kept_parts)"


def _decode(steps: Steps) -> Iterator[str]:
    plan, head = steps.plan, steps.decoding.head
    segment = steps.decoding.segment
    given = f"model: {plan.class_name}, ids_bc: Tensor, cache: KeyCache"
    more = inputs.added(plan, segment.name)
    given += ", added: Mapping[str, Tensor] | None = None" if more else ""
    yield f"def decode({given}) -> tuple[Tensor, KeyCache]:"
    what = f"Logits [B, C, {head.size}] of the next C tokens of {segment.name}"
    yield f'    """{what}, and the cache with them in it.'
    yield ""
    yield "    The cache that is given stays as it is, for other tokens to go on from."
    if more:
        yield "    `added` is that of the next tokens, as the model takes it of all."
    yield '    """'
    named, most = steps.requests.named, segment.tokens.max
    vocabulary, context = (
        named.of(field, size, segment.name)
        for field, size in (("vocab", head.size), ("max_tokens", most))
    )
    yield f"    at_bc = following(ids_bc, cache, {vocabulary}, {context})"
    yield from (f"    {line}" for line in inputs.following(plan, segment.name))
    yield "    kept = dict(cache.kept)"
    yield from (f"    {line}" for line in steps.body)
    x = steps.tensors[head.sources[0].name]
    table = f"model.{head.tied}.table.weight"
    if not head.is_made:
        yield f"    logits_bcv = F.linear({scaled(head, x)}, {table})"
    else:
        yield f"    logits_bcv: Tensor = model.{head.module}({x}{f', {table}' * bool(head.tied)})"
    yield "    tokens = ids_bc.shape[1]"
    yield "    after = KeyCache(cache.length_b + tokens, cache.longest + tokens, kept)"
    yield "    return logits_bcv, after"
