"""Objectives: tokens that a language model is not trained on, since the row before them sees them.

What a row depends on is followed back from the head, through all that it may read at any length;
of documents that stay separate, through what it may read of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from mmspec.compiler import ir
from mmspec.compiler.lower.algebras import Algebra, Bounds, Held, Maps
from mmspec.compiler.lower.carried import Carried, Row
from mmspec.diagnostics import MmspecError
from mmspec.expressions.mask import Mask, unparse
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import problem

K = TypeVar("K")
R = TypeVar("R")
_OPERATIONS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class _Step:
    """Where rows read something: in words, where in the spec, and what to write instead."""

    words: str
    keys: tuple[str, ...]
    help: str


class _AllTold(Exception):
    """Every token is read by the row before it; where, if that is known."""

    def __init__(self, step: _Step | None) -> None:
        super().__init__(step.words if step else "")
        self.step = step


def told(
    spec: Spec,
    name: str,
    nodes: tuple[ir.Node, ...],
    at: tuple[ir.Value, ir.Segment],
    carried: Carried[bool],
) -> str:
    """The tokens k of a segment that carry no loss, as Python reads it; "" where all of them do.

    at: what a language-model head reads, and the segment that it predicts. Where its documents
    never meet, k is token p of its own. Raises MmspecError where no token is left.
    """
    value, segment = at
    if segment.tokens.max == 1:
        return ""
    bound = _Back(segment, Bounds(), nodes, carried).run(value)
    if bound is None or not bound.holds_next:
        return ""
    from mmspec.compiler.relations.limit import TooHardError

    words = "what they see through all layers is too much to follow"
    for follow in (_from_the_head, _from_the_tokens):
        try:
            return follow(nodes, at, carried)
        except _AllTold as all_told:
            if all_told.step is not None:
                raise _refused(spec, name, all_told.step) from None
            words = "through all layers each sees the next"
            break
        except TooHardError:  # what grows from one end may be few from the other
            continue
    step = _Step(words, ("heads", name), "write `attention: causal` where a mask looks ahead")
    raise _refused(spec, name, step)


def _from_the_head(
    nodes: tuple[ir.Node, ...], at: tuple[ir.Value, ir.Segment], carried: Carried[bool]
) -> str:
    """The tokens without a loss, by what the head's rows read. Raises _AllTold, TooHardError."""
    from mmspec.compiler.relations.limit import limited
    from mmspec.compiler.relations.meaning import reads

    value, segment = at
    with limited(_OPERATIONS):
        found = _Back(segment, Maps(segment, carried.separate), nodes, carried).run(value)
        return "" if found is None else reads.told(found, segment.tokens.max)


def _from_the_tokens(
    nodes: tuple[ir.Node, ...], at: tuple[ir.Value, ir.Segment], carried: Carried[bool]
) -> str:
    """The same by what holds each token. Raises _AllTold, TooHardError."""
    from mmspec.compiler.relations.limit import limited
    from mmspec.compiler.relations.meaning import reads

    value, segment = at
    holding = Carried(segment.name, carried.separate, Held(segment, carried.separate))
    with limited(_OPERATIONS):
        for node in _behind(nodes, value):
            holding.step(node)
        found = holding.of((value,)).get(segment.name)
        if found is not None and reads.tells_all(found, segment.tokens.max):
            raise _AllTold(None)
        return "" if found is None else reads.told(found, segment.tokens.max)


def _behind(nodes: tuple[ir.Node, ...], value: ir.Value) -> tuple[ir.Node, ...]:
    """The nodes that a value is made by."""
    needed, found = {value.name}, list[ir.Node]()
    for node in reversed(nodes):
        if node.out.name in needed:
            found.insert(0, node)
            sources = node.sources if isinstance(node, ir.Fuse | ir.Stack) else ()
            sources = (node.source,) if isinstance(node, ir.Project) else sources
            needed |= {source.name for source in sources}
    return tuple(found)


def told_tokens(condition: str, most: int, begin: int = 0) -> frozenset[int]:
    """The tokens of a sample of so many, from where a document begins, that a condition names."""
    if not condition:
        return frozenset()
    made = eval(f"lambda k, p: {condition}", {"__builtins__": {}})
    return frozenset(k for k in range(begin + 1, most) if made(k, k - begin))


def _refused(spec: Spec, name: str, step: _Step) -> MmspecError:
    """The error of a head of which every row sees its own target."""
    message = f"head `{name}` is trained to predict tokens that its rows see: {step.words}"
    keys, advice = step.keys, step.help
    if keys[-1] == "attention" and "attention" not in spec.streams[keys[1]].model_fields_set:
        keys, advice = keys[:-1], f"{advice}; left out, attention is `full`"
    return problem(spec, "MM324", message, *keys, help=advice)


@dataclass(slots=True)
class _Back(Generic[R]):
    """Nodes from last to first: what the rows of a head read of each segment of each value.

    A token passes all that it goes through, so what is read of it anywhere is read of it.
    carried: the segments that hold anything of the segment's modality; others are not followed.
    """

    segment: ir.Segment
    algebra: Algebra[R]
    nodes: tuple[ir.Node, ...]
    carried: Carried[bool]
    reads: dict[tuple[str, str], R] = field(default_factory=dict)

    def run(self, value: ir.Value) -> R | None:
        """What is read of the segment's own modality; None: nothing."""
        self._put((value,), {self.segment.name: self.algebra.own()})
        found: R | None = None
        for node in reversed(self.nodes):
            keys = [(node.out.name, segment.name) for segment in node.out.segments]
            row = {name: self.reads[out, name] for out, name in keys if (out, name) in self.reads}
            if isinstance(node, ir.Embed):
                for reads in row.values():
                    found = reads if found is None else self.algebra.join(found, reads)
            elif isinstance(node, ir.Project):
                self._put((node.source,), row)
            elif isinstance(node, ir.Stack) and row:
                self._stacked(node, row)
            elif isinstance(node, ir.Fuse) and row:
                self._fused(node, row)
        return found

    def _put(self, values: Iterable[ir.Value], row: Row[R]) -> None:
        for value in values:
            held = self.carried.of((value,))
            for segment in value.segments:
                if segment.name in row and segment.name in held:
                    self._add(self.reads, (value.name, segment.name), row[segment.name])

    def _add(self, row: dict[K, R], name: K, reads: R) -> None:
        row[name] = self.algebra.join(row[name], reads) if name in row else reads

    def _everything(self, values: tuple[ir.Value, ...], row: Row[R], step: _Step) -> None:
        """Rows that read any token of a value read all that it is made of."""
        for value in values:
            for segment in value.segments:
                found: Row[R] = {}
                for reads in row.values():
                    self._add(found, segment.name, self.algebra.all(reads, segment))
                self._seen(segment, found[segment.name], step)
                self._put((value,), found)

    def _seen(self, segment: ir.Segment, reads: R, step: _Step) -> R:
        """What is read of a segment, which is looked at where it is the head's own."""
        if segment == self.segment and self.algebra.tells_all(reads):
            raise _AllTold(step)
        return reads

    def _pooled(self, what: str, keys: tuple[str, ...]) -> _Step:
        advice = f"let the head read a stream in which {self.segment.name} is not pooled"
        return _Step(f"{what} reads all tokens at once", keys, advice)

    def _fused(self, node: ir.Fuse, row: Row[R]) -> None:
        kept = node.kept
        row = self._layers(node, row, [((site,),) for site in node.attentions if site.own])
        for reading in node.readings():
            if isinstance(reading, ir.Pool):
                where = f"the {node.fusion.name} fusion of stream `{node.stream}`"
                step = self._pooled(where, ("streams", node.stream, "from"))
                if reading.is_read:
                    self._everything(reading.values, row, step)
                    kept = tuple(value for value in kept if value not in reading.values)
            elif not reading.own:
                held = self.carried.of(node.others)
                self._put(node.others, self._attended((row, {}), reading, node, held))
        self._put(kept, row)

    def _stacked(self, node: ir.Stack, row: Row[R]) -> None:
        if node.decision() is not None:
            keys = ("streams", node.stream, "halting")
            step = self._pooled(f"the halting of stream `{node.stream}`", keys)
            self._everything(node.sources, row, step)
        else:
            layers = [block.readings for block in node.layers(0, node.passed)]
            self._put((node.source,), self._layers(node, row, layers, len(node.order)))

    def _layers(
        self,
        node: ir.Fuse | ir.Stack,
        row: Row[R],
        layers: Sequence[tuple[tuple[ir.Attention, ...], ...]],
        period: int = 1,
    ) -> Row[R]:
        """What is read before some layers, each of which adds what tokens see to what they are.

        period: after how many layers in a row that add nothing no other will.
        """
        idle = 0
        for layer in reversed(range(len(layers))):
            after, several = row, sum(map(len, layers[layer])) > 1
            held = self.carried.before(node.out, layer + several)
            for together in reversed(layers[layer]):
                reads = after
                for site in together:
                    if site.read is None:
                        after = self._attended((reads, after), site, node, held)
                    else:
                        others = self.carried.of((site.read,))
                        found = self._attended((reads, {}), site, node, others)
                        self._put((site.read,), found)
            ends = all(name in row and self.algebra.same(row[name], x) for name, x in after.items())
            idle, row = (idle + 1 if ends else 0), after
            if idle == period:
                break
        return row

    def _attended(
        self,
        rows: tuple[Row[R], Row[R]],
        site: ir.Attention,
        node: ir.Fuse | ir.Stack,
        held: Row[bool],
    ) -> Row[R]:
        """What is read of these keys, besides the second row, by rows that read the queries."""
        row, found = rows[0], {name: reads for name, reads in rows[1].items() if name in held}
        queries, keys = ({segment.name: segment for segment in side} for side in site.sides)
        for name, other, mask in dict.fromkeys(
            pair for group in site.groups for pair in group.masks
        ):
            shown = self.carried.shown(mask) if name in row and other in held else None
            if shown is None:
                continue
            query, key = queries[name], keys[other]
            reads = self.algebra.through(row[name], query, key, shown)
            if reads is None:
                continue
            self._add(found, other, reads)
            self._seen(key, found[other], _sight(node, site, (name, other), mask))
        return found


def _sight(
    node: ir.Fuse | ir.Stack, site: ir.Attention, pair: tuple[str, str], mask: Mask
) -> _Step:
    """A segment that sees another, and how not to."""
    stream, names = node.stream, f"{pair[0]} -> {pair[1]}"
    where = f"{'the fusion of ' * isinstance(node, ir.Fuse)}stream `{stream}`"
    words = f"in {where}, {pair[0]} sees {pair[1]} by `{unparse(mask)}`"
    if isinstance(node, ir.Fuse) and any(site.own for site in node.attentions):
        return _Step(words, ("streams", stream, "from"), "use a `concat` fusion")
    if isinstance(node, ir.Fuse):
        keys, advice = ("streams", stream, "from"), f"leave `{names}` out of its `attention`"
        return _Step(words, keys, advice)
    if site.read is not None:
        advice = f"let `cross` read a stream that holds nothing of {pair[1]}"
        return _Step(f"{words} of stream `{site.read.name}`", ("streams", stream), advice)
    advice = f"write `attention: causal` in stream `{stream}`, or by pair `{names}: causal`"
    if pair[0] != pair[1]:
        advice = f"leave `{names}` out of the `attention` of stream `{stream}`"
    return _Step(words, ("streams", stream, "attention"), advice)
