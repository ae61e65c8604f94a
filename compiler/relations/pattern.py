"""Masks of sequences as the source of patterns for sparse attention on a CPU.

pattern_source(name, mask) -> source: for each pair of segments the loops that isl found, and a
predicate over tokens for the tiles that are not seen as a whole. What is run is that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmspec.compiler.relations.formula import as_source
from mmspec.compiler.relations.geometry import line
from mmspec.compiler.relations.layout import (
    TILE,
    Boxes,
    Classes,
    Layout,
    Line,
    coordinates,
    layout,
    product,
)
from mmspec.compiler.relations.patterns import meaning
from mmspec.compiler.relations.relation import relation
from mmspec.compiler.relations.schedule import Schedule, schedule
from mmspec.compiler.relations.sequence import SequenceMask, Side
from mmspec.expressions.mask import Mask, Pattern, unparse

__all__ = ["HEADER", "pattern_source", "symbols"]

FULL, NONE = Pattern("full"), Pattern("none")

HEADER = """from collections.abc import Iterator
from itertools import pairwise, product

import torch
from torch import Tensor

from mmspec.compiler.parts.sparse_plan import Block, Pattern, Run, bounds, laid, register, tiled
"""
"""What the definitions use."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment in the source: where it begins, and in which order its tokens stand."""

    side: Side
    start: str
    layout: Layout

    @property
    def tokens(self) -> str:
        return product([axis.size for axis in self.side.geometry.axes])

    @property
    def end(self) -> str:
        return f"{self.start} + {self.tokens}" if self.start else self.tokens

    @property
    def span(self) -> str:
        return f"range({self.start}, {self.end})" if self.start else f"range({self.end})"


@dataclass(frozen=True, slots=True)
class _Source:
    """A pattern's name, its segments and what they show each other."""

    name: str
    mask: SequenceMask
    queries: tuple[_Segment, ...]
    keys: tuple[_Segment, ...]

    @property
    def segments(self) -> list[_Segment]:
        """Each once for each place where it stands."""
        return list(dict.fromkeys((*self.queries, *self.keys)))

    def shown(self) -> Iterator[tuple[_Segment, _Segment, Mask]]:
        """Pairs with visible keys."""
        for query in self.queries:
            for key in self.keys:
                mask = self.mask.mask(query.side.name, key.side.name)
                if mask != NONE:
                    yield query, key, mask

    def given(self, *first: str) -> str:
        """The parameters of a function."""
        return ", ".join((*first, *(f"{symbol}: int" for symbol in symbols(self.mask))))


def symbols(mask: SequenceMask) -> tuple[str, ...]:
    """The lengths that a pattern takes, in order."""
    return tuple(dict.fromkeys(s for side in mask.sides for s in side.geometry.symbols))


def pattern_source(name: str, mask: SequenceMask) -> str:
    """Definitions that end with the pattern, registered by its name; lengths as `symbols` has them.

    Every mask must be a formula. Raises MeaninglessError. See HEADER for what they use.
    """
    source = _Source(name, mask, *_placed(mask))
    parts = [*_places(source), *_loops(source)]
    parts.append([*_blocks(source)])
    parts.append([*_sees(source)])
    order = ""
    if any(segment.layout != Line() for segment in source.segments):
        parts.append([*_order(source)])
        order = f", {name}_order"
    parts.append([f'register("{name}", Pattern({name}_blocks, {name}_sees{order}))'])
    return "\n\n\n".join("\n".join(part) for part in parts) + "\n"


def _placed(mask: SequenceMask) -> Iterator[tuple[_Segment, ...]]:
    for sides in (mask.queries, mask.keys):
        sizes = [product([axis.size for axis in side.geometry.axes]) for side in sides]
        yield tuple(
            _Segment(side, " + ".join(sizes[:place]), layout(mask, side))
            for place, side in enumerate(sides)
        )


def _places(source: _Source) -> Iterator[list[str]]:
    """For each segment whose tokens stand in another order: their tiles or classes."""
    for side, found in dict.fromkeys((s.side, s.layout) for s in source.segments):
        if isinstance(found, Line):
            continue
        head = f"def {source.name}_{side.name}_place({source.given('t: Tensor')}) -> Tensor:"
        what = "box" if isinstance(found, Boxes) else "class"
        lines = [head, f'    """The {what} that tokens of {side.name} stand in."""']
        for name, text in coordinates(side.geometry, "t"):
            if re.search(rf"\b{name}\b", found.place):
                lines.append(f"    {name} = {text}")
        yield [*lines, f"    return {found.place}"]


def _loops(source: _Source) -> Iterator[list[str]]:
    """For each pair of segments the runs of keys of a tile of queries."""
    for query, key, mask in source.shown():
        if isinstance(query.layout, Classes) and query.side == key.side:
            mask = query.layout.inner
        if mask == FULL:
            continue
        found = _schedule(query, key, mask)
        _, *body = found.python().splitlines()
        given = ", ".join(f"{name}: int" for name in found.arguments)
        yield [
            f"def {_runs_name(source, query, key)}({given}) -> Iterator[Run]:",
            f'    """Tiles of {key.side.name} that a tile of {query.side.name} sees."""',
            *body,
        ]


def _runs_name(source: _Source, query: _Segment, key: _Segment) -> str:
    return f"{source.name}_{query.side.name}_{key.side.name}"


def _schedule(query: _Segment, key: _Segment, mask: Mask) -> Schedule:
    if isinstance(query.layout, Classes) and query.side == key.side:
        return schedule(relation(mask, line("m"), line("m")), TILE, TILE)
    tiles = [s.layout.sides if isinstance(s.layout, Boxes) else TILE for s in (query, key)]
    found = relation(mask, query.side.geometry, key.side.geometry)
    if tiles == [TILE, TILE] and any(len(s.side.geometry.axes) > 1 for s in (query, key)):
        found = found.flat()
    return schedule(found, *tiles)


def _blocks(source: _Source) -> Iterator[str]:
    """The function that goes through all pairs."""
    yield f"def {source.name}_blocks({source.given()}) -> Iterator[Block]:"
    yield f'    """Blocks of queries of {source.name}, and the runs of keys that they see."""'
    boxed = {s for q, k, _ in source.shown() for s in (q, k) if not isinstance(s.layout, Line)}
    for segment in source.segments:
        if segment in boxed:
            yield f"    {_bounds(source, segment)} = {_bounds_of(source, segment)}"
    any_pair = False
    for query, key, mask in source.shown():
        any_pair = True
        yield from (f"    {text}" for text in _pair(source, query, key, mask))
    if not any_pair:
        yield "    yield from ()"


def _bounds(source: _Source, segment: _Segment) -> str:
    side = "keys" if segment not in source.queries else "tiles"
    return f"{segment.side.name}_{side}"


def _bounds_of(source: _Source, segment: _Segment) -> str:
    """Source: where the tiles of a segment begin."""
    if isinstance(segment.layout, Line):
        start = segment.start or "0"
        return f"[*range({start}, {segment.end}, {TILE}), {segment.end}]"
    places = f"torch.arange({segment.tokens})"
    given = ", ".join((places, *symbols(source.mask)))
    return f"bounds({segment.start or '0'}, {source.name}_{segment.side.name}_place({given}))"


def _pair(source: _Source, query: _Segment, key: _Segment, mask: Mask) -> Iterator[str]:
    """Statements that yield the blocks of a pair of segments."""
    runs = _runs_name(source, query, key)
    if isinstance(query.layout, Classes) and query.side == key.side:
        yield f"for start, stop in pairwise({_bounds(source, query)}):"
        if query.layout.inner == FULL:
            yield "    yield start, stop, [(start, stop, True)]"
        else:
            spans = "range(start, stop), range(start, stop), stop - start"
            yield f"    yield from tiled({runs}, {TILE}, {spans})"
        return
    if mask == FULL:
        everything = f"lambda _: [(0, -(-({key.tokens}) // {TILE}), True)]"
        yield f"yield from tiled({everything}, {TILE}, {query.span}, {key.span})"
        return
    found = _schedule(query, key, mask).relation.symbols
    if isinstance(query.layout, Boxes) or isinstance(key.layout, Boxes):
        ends = [
            _bounds_of(source, s) if isinstance(s.layout, Line) else _bounds(source, s)
            for s in (query, key)
        ]
        given = ", ".join((runs, _indices(query), f"({', '.join(ends)})", *found))
        yield f"yield from laid({given})"
        return
    given = ", ".join((runs, str(TILE), query.span, key.span, *found))
    yield f"yield from tiled({given})"


def _indices(segment: _Segment) -> str:
    """Source: the indices of the tiles of a segment."""
    if not isinstance(segment.layout, Boxes):
        return f"product(range(-(-({segment.tokens}) // {TILE})))"
    pairs = zip(segment.side.geometry.axes, segment.layout.sides, strict=True)
    counts = (f"range(-(-{axis.size} // {side}))" for axis, side in pairs)
    return f"product({', '.join(counts)})"


def _sees(source: _Source) -> Iterator[str]:
    """The predicate; queries, and keys, are of one segment each."""
    yield f"def {source.name}_sees({source.given('q: Tensor', 'k: Tensor')}) -> Tensor:"
    yield f'    """Whether queries of {source.name} see keys, both of one segment: bool [q, k]."""'
    for query in source.queries:
        own = [(key, mask) for q, key, mask in source.shown() if q == query]
        lines = [text for key, mask in own for text in _seen(query, key, mask)]
        lines.append("return q + k < 0")
        yield from (f"    {text}" for text in _within("q", query, lines))
    yield "    return q + k < 0"


def _seen(query: _Segment, key: _Segment, mask: Mask) -> Iterator[str]:
    formula = meaning(mask, query.side.geometry, key.side.geometry)
    text = as_source(formula)
    text = {"True": "q + k >= 0", "False": "q + k < 0"}.get(text, text)
    if not re.search(r"\bq", text):
        text = f"({text}) & (q >= 0)"
    elif not re.search(r"\bk", text):
        text = f"({text}) & (k >= 0)"
    lines = [
        f"{name} = {of}"
        for side, letter in ((query, "q"), (key, "k"))
        for name, of in coordinates(side.side.geometry, letter)
        if re.search(rf"\b{name}\b", text)
    ]
    yield f"# {query.side.name} sees {key.side.name}: {unparse(mask)}"
    yield from _within("k", key, [*lines, f"return {text}"])


def _within(letter: str, segment: _Segment, lines: list[str]) -> Iterator[str]:
    """Statements for tokens of a segment alone, counted from its first."""
    first = f"int({letter}.flatten()[0])"
    yield f"if {segment.start or 0} <= {first} < {segment.end}:"
    if segment.start:
        yield f"    {letter} = {letter} - ({segment.start})"
    yield from (f"    {text}" for text in lines)


def _order(source: _Source) -> Iterator[str]:
    """The function that says which token stands where."""
    yield f"def {source.name}_order({source.given()}) -> tuple[Tensor, Tensor]:"
    yield f'    """Which query and which key of {source.name} stands at each place."""'
    texts = []
    for side in (source.queries, source.keys):
        parts = []
        for segment in side:
            tokens = f"torch.arange({segment.tokens})"
            if not isinstance(segment.layout, Line):
                given = ", ".join((tokens, *symbols(source.mask)))
                tokens = f"{source.name}_{segment.side.name}_place({given}).argsort(stable=True)"
            parts.append(f"{tokens} + {segment.start}" if segment.start else tokens)
        texts.append(f"torch.cat([{', '.join(parts)}])" if len(parts) > 1 else parts[0])
    if texts[0] == texts[1]:
        yield f"    order = {texts[0]}"
        yield "    return order, order"
    else:
        yield f"    queries = {texts[0]}"
        yield f"    keys = {texts[1]}"
        yield "    return queries, keys"
