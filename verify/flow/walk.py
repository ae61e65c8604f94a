"""Influence, followed through a plan in execution order; what it is made of is left open.

    walk(plan, origin, algebra) -> {(value, segment): Reach}

`algebra` says what a relation is (a class, see `symbolic.py`; a set of integers, see `sets.py`; a
matrix, see `exact.py`); `origin`
is a modality (its tokens as they are embedded) or a stream (its tokens as they leave it).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from mmspec.compiler import ir
from mmspec.expressions.mask import FULL, Mask, unparse

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where influence starts: the tokens of a modality, or those that leave a stream."""

    kind: Literal["modality", "stream"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Reach(Generic[R]):
    """How the origin reaches the tokens of a segment, and by which steps, in words."""

    relation: R
    path: tuple[str, ...] = ()


class Algebra(Protocol[R]):
    """What relations are, and how they compose."""

    def nothing(self, segment: ir.Segment) -> R:
        """The segment's tokens depend on nothing of the origin."""
        ...

    def own(self, segment: ir.Segment) -> R:
        """The segment's tokens are the origin's."""
        ...

    def see(self, query: ir.Segment, key: ir.Segment, mask: Mask, reach: R) -> R:
        """What queries depend on when they see keys that depend on that."""
        ...

    def join(self, one: R, other: R) -> R:
        """Both."""
        ...

    def same(self, one: R, other: R) -> bool:
        """Whether they are equal."""
        ...

    def has_tokens(self, value: ir.Value) -> bool:
        """Whether a sample may hold tokens of it."""
        ...

    def weight(self, segment: ir.Segment, relation: R) -> int:
        """0: nothing; 2: what the question asks about; 1: something else."""
        ...


State = dict[tuple[str, str], Reach[R]]


def walk(plan: ir.Plan, origin: Origin, algebra: Algebra[R]) -> State[R]:
    """How the origin reaches every segment of every value."""
    walker = _Walk(origin, algebra)
    for node in plan.nodes:
        walker.step(node)
    return walker.state


@dataclass(slots=True)
class _Walk(Generic[R]):
    origin: Origin
    algebra: Algebra[R]
    state: State[R] = field(default_factory=dict)

    def step(self, node: ir.Node) -> None:
        """Follow one node."""
        if isinstance(node, ir.Embed):
            self._embed(node)
        elif isinstance(node, ir.Project):
            self._put(node.out, self._row(node.source))
        elif isinstance(node, ir.Fuse):
            self._put(node.out, self._fused(node))
        else:
            self._put(node.out, self._stacked(node))

    def _embed(self, node: ir.Embed) -> None:
        is_origin = self.origin == Origin("modality", node.modality)
        own, nothing, row = self.algebra.own, self.algebra.nothing, []
        for segment in node.out.segments:
            make = own if is_origin and segment == node.own else nothing
            row.append(Reach(make(segment)))
        if (reads := node.raw.reads) is not None:
            name = node.own.name
            how = f"a token of {name} is made of others too (`{unparse(reads)}`)"
            row[-1:] = self._see((node.own,), node.own, reads, row[-1], how)
        self._put(node.out, row)

    def _row(self, value: ir.Value) -> list[Reach[R]]:
        return [self.state[value.name, segment.name] for segment in value.segments]

    def _put(self, value: ir.Value, row: list[Reach[R]]) -> None:
        for segment, reach in zip(value.segments, row, strict=True):
            self.state[value.name, segment.name] = reach

    def _better(self, segment: ir.Segment, one: Reach[R], other: Reach[R]) -> Reach[R]:
        """Both; the path is that of the one which the question asks about, else the first."""
        weigh = self.algebra.weight
        heavier = weigh(segment, other.relation) > weigh(segment, one.relation)
        relation = self.algebra.join(one.relation, other.relation)
        return Reach(relation, other.path if heavier else one.path)

    def _see(
        self, queries: Iterable[ir.Segment], key: ir.Segment, mask: Mask, reach: Reach[R], how: str
    ) -> list[Reach[R]]:
        """What the queries get from one segment of keys; `how` is appended to the path."""
        path = reach.path if reach.path[-1:] == (how,) else (*reach.path, how)
        see = self.algebra.see
        return [Reach(see(query, key, mask, reach.relation), path) for query in queries]

    def _fused(self, node: ir.Fuse) -> list[Reach[R]]:
        row = [reach for value in node.kept for reach in self._row(value)]
        if not node.kept:
            row = [Reach(self.algebra.nothing(segment)) for segment in node.out.segments]
        for reading in node.readings():
            if isinstance(reading, ir.Pool):
                row = self._pooled(node.out.segments, row, reading)
            elif reading.own:
                row = self._attended(node, reading, row, row)
            else:
                others = node.others
                context = [reach for value in others for reach in self._row(value)]
                row = self._attended(node, reading, row, context)
        return row

    def _pooled(
        self, queries: tuple[ir.Segment, ...], row: list[Reach[R]], pool: ir.Pool
    ) -> list[Reach[R]]:
        """What is read of all tokens of some values, in the words of the pool."""
        if sum(map(self.algebra.has_tokens, pool.values)) <= pool.several:
            return row
        keys = [segment for value in pool.values for segment in value.segments]
        reaches = [reach for value in pool.values for reach in self._row(value)]
        return self._mixed(queries, row, keys, reaches, pool.how)

    def _mixed(
        self,
        queries: tuple[ir.Segment, ...],
        row: list[Reach[R]],
        keys: list[ir.Segment],
        reaches: list[Reach[R]],
        how: str,
    ) -> list[Reach[R]]:
        """Every query's own reach, and that of every key: a mean over tokens, say."""
        for key, reach in zip(keys, reaches, strict=True):
            seen = self._see(queries, key, FULL, reach, how.format(key=key.name))
            row = [self._better(q, a, b) for q, a, b in zip(queries, row, seen, strict=True)]
        return row

    def _attended(
        self,
        node: ir.Fuse | ir.Stack,
        site: ir.Attention,
        row: list[Reach[R]],
        context: list[Reach[R]],
    ) -> list[Reach[R]]:
        """The residual, and all that the masks let each query see of the context."""
        queries = {segment.name: segment for segment in site.queries}
        keys = {segment.name: segment for segment in site.keys}
        found = dict(zip(queries, row, strict=True))
        reaches = dict(zip(keys, context, strict=True))
        shown = dict.fromkeys(pair for group in site.groups for pair in group.masks)
        for query, key, mask in shown:
            how = f"in stream `{node.stream}`, {query} sees {key} (`{unparse(mask)}`)"
            (seen,) = self._see((queries[query],), keys[key], mask, reaches[key], how)
            found[query] = self._better(queries[query], found[query], seen)
        return list(found.values())

    def _stacked(self, node: ir.Stack) -> list[Reach[R]]:
        if self.origin == Origin("stream", node.stream):
            return [Reach(self.algebra.own(segment)) for segment in node.out.segments]
        segments, row = node.out.segments, self._row(node.source)
        pooled: list[Reach[R]] = []
        for first, count in node.passes():
            before, row = row, self._layers(node, row, first, count)
            pooled = before if first else pooled
        decision = node.decision()
        if decision is None:
            return row
        return self._mixed(segments, row, list(segments), pooled, decision.how)

    def _layers(
        self, node: ir.Stack, row: list[Reach[R]], first: int, count: int
    ) -> list[Reach[R]]:
        """After so many layers; stops early where all variants in turn add nothing."""
        idle = 0
        for block in node.layers(first, count):
            after = row
            for together in block.readings:
                read = after
                for site in together:
                    context = read if site.read is None else self._row(site.read)
                    after = self._attended(node, site, after, context)
            ends = zip(row, after, strict=True)
            same = all(self.algebra.same(a.relation, b.relation) for a, b in ends)
            idle, row = (idle + 1 if same else 0), after
            if idle == len(node.order):
                break
        return row
