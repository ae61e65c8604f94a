"""Masks of sequences as the source of patterns: what a package passes over tiles by.

pattern_source(name, mask) -> source: for each pair of segments the loops that isl found, and a
predicate over tokens for the tiles that are not seen as a whole. What is run is that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from mmspec.compiler.relations.formula import as_source, as_statements
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
from mmspec.compiler.relations.tiles import linear_tiles
from mmspec.expressions.mask import Mask, Pattern, unparse

__all__ = ["computed_pairs", "pair_schedule", "pattern_definitions", "pattern_source"]

FULL, NONE = Pattern("full"), Pattern("none")
_ROOM = 72


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment in the source: where it begins, and in which order its tokens stand."""

    side: Side
    start: str
    layout: Layout

    @property
    def tokens(self) -> str:
        return _tokens(self.side)

    @property
    def end(self) -> str:
        return f"{self.start} + {self.tokens}" if self.start else self.tokens

    @property
    def span(self) -> str:
        return f"range({self.start}, {self.end})" if self.start else f"range({self.end})"


def _tokens(side: Side) -> str:
    return side.count or product([axis.size for axis in side.geometry.axes])


@dataclass(frozen=True, slots=True)
class _Source:
    """A pattern's name, whose it is, its segments and what they show each other."""

    name: str
    owner: str
    mask: SequenceMask
    queries: tuple[_Segment, ...]
    keys: tuple[_Segment, ...]

    @property
    def segments(self) -> list[_Segment]:
        """Each once for each place where it stands."""
        return list(dict.fromkeys((*self.queries, *self.keys)))

    @property
    def alone(self) -> bool:
        """Whether there is one segment of queries and one of keys."""
        return len(self.queries) == len(self.keys) == 1

    def shown(self) -> Iterator[tuple[_Segment, _Segment, Mask]]:
        """Pairs with visible keys."""
        for query in self.queries:
            for key in self.keys:
                mask = self.mask.mask(query.side.name, key.side.name)
                if mask != NONE:
                    yield query, key, mask

    def given(self, *first: str) -> str:
        """The parameters of a function."""
        return ", ".join((*first, *(f"{name}: int" for name in self.mask.parameters)))

    def derived(self, body: Iterable[str]) -> Iterator[str]:
        """The statements of a function's body, after those that make the lengths they use."""
        body = list(body)
        for side in self.mask.sides:
            for line_ in side.derived():
                if _used(line_.partition(" ")[0], "\n".join(body)):
                    yield f"    {line_}"
        yield from (f"    {text}" for text in body)


def _used(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def pattern_source(name: str, mask: SequenceMask) -> str:
    """Definitions that end with the pattern, registered by its name.

    What they use is in `parts/sparse_plan.py`. The functions take `mask.parameters`. Every mask
    must be a formula. Raises MeaninglessError.
    """
    return "\n\n\n".join(pattern_definitions(name, name, mask))


def pattern_definitions(name: str, owner: str, mask: SequenceMask) -> list[str]:
    """The same, each by itself; `owner`: whose mask it is, in words."""
    source = _Source(name, owner, mask, *_placed(mask))
    parts = [*_places(source), *_loops(source)]
    parts.append([*_blocks(source)])
    parts.append([*_sees(source)])
    order = ""
    if any(segment.layout != Line() for segment in source.segments):
        parts.append([*_order(source)])
        order = f", {name}_order"
    made = f"Pattern({name}_blocks, {name}_sees{order})"
    parts.append([f'{name.upper()} = register("{name}", {made})'])
    return ["\n".join(part) + "\n" for part in parts]


def _placed(mask: SequenceMask) -> Iterator[tuple[_Segment, ...]]:
    for sides in (mask.queries, mask.keys):
        sizes = [_tokens(side) for side in sides]
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
        body = [f"{x} = {of}" for x, of in coordinates(side.geometry, "t") if _used(x, found.place)]
        yield [*lines, *source.derived([*body, f"return {found.place}"])]


def _loops(source: _Source) -> Iterator[list[str]]:
    """For each pair of segments the runs of keys of a tile of queries."""
    for query, key, mask in source.shown():
        within = isinstance(query.layout, Classes) and query.side == key.side
        if isinstance(query.layout, Classes) and within:
            mask = query.layout.inner
        if mask == FULL:
            continue
        found = _schedule(query, key, mask)
        _, *body = found.python().splitlines()
        given = ", ".join(f"{name}: int" for name in found.arguments)
        text = f"Tiles of {key.side.name} seen by tile i of {query.side.name}"
        text = _told(text + " within a class" * within + f": {unparse(mask)}.")
        yield [
            f"def {_runs_name(source, query, key)}({given}) -> Iterator[Run]:",
            f'    """{text}"""',
            *body,
        ]


def _told(text: str, end: str = ":") -> str:
    """A docstring, without its end where that makes it too long."""
    return text if len(text) <= 90 else text.rpartition(end)[0] + "."


def _runs_name(source: _Source, query: _Segment, key: _Segment) -> str:
    if source.alone:
        return f"{source.name}_runs"
    return f"{source.name}_runs_{query.side.name}_{key.side.name}"


def pair_schedule(
    mask: SequenceMask, query: Side, key: Side, tiles: tuple[int, int] = (TILE, TILE)
) -> Schedule:
    """The loops of a pair of segments over the tiles that suit them; of classes, within one."""
    placed = [_Segment(side, "", layout(mask, side)) for side in (query, key)]
    return _schedule(placed[0], placed[1], mask.mask(query.name, key.name), tiles)


def _schedule(
    query: _Segment, key: _Segment, mask: Mask, tiles: tuple[int, int] = (TILE, TILE)
) -> Schedule:
    if isinstance(query.layout, Classes) and query.side == key.side:
        return schedule(relation(query.layout.inner, line("m"), line("m")), *tiles)
    boxes = [
        s.layout.sides if isinstance(s.layout, Boxes) else tile
        for s, tile in zip((query, key), tiles, strict=True)
    ]
    found = relation(mask, query.side.geometry, key.side.geometry)
    lines = all(not isinstance(s.layout, Boxes) for s in (query, key))
    if lines and any(len(s.side.geometry.axes) > 1 for s in (query, key)):
        found = found.flat()
    return schedule(found, *boxes)


def computed_pairs(mask: SequenceMask, query: Side, key: Side, tokens: Mapping[str, int]) -> int:
    """Pairs in the tiles that hold a visible one, at so many tokens by segment."""
    shown = mask.mask(query.name, key.name)
    if shown == FULL:
        return tokens[query.name] * tokens[key.name]
    found, place = pair_schedule(mask, query, key), layout(mask, query)
    classes = 1
    lengths = query.geometry.lengths(tokens[query.name]) | key.geometry.lengths(tokens[key.name])
    if isinstance(place, Classes) and query == key:
        if place.step is None:
            return mask.relation(query, key).count().at(lengths)
        classes, lengths = place.step, {"m": -(-tokens[query.name] // place.step)}
    tiles = prod(linear_tiles(found.relation.query, found.query_tile, lengths))
    runs = (run for index in range(tiles) for run in found.runs(index, lengths))
    area = prod(found.query_tile) * prod(found.key_tile)
    return classes * area * sum(stop - start for start, stop, _ in runs)


def _blocks(source: _Source) -> Iterator[str]:
    """The function that goes through all pairs."""
    yield f"def {source.name}_blocks({source.given()}) -> Iterator[Block]:"
    about = f"Tiles of {TILE} queries, and the runs of keys they see: {source.owner}."
    yield f'    """{_told(about)}"""'
    boxed = {s for q, k, _ in source.shown() for s in (q, k) if not isinstance(s.layout, Line)}
    body = [
        f"{_bounds(source, segment)} = {_bounds_of(source, segment)}"
        for segment in source.segments
        if segment in boxed
    ]
    pairs = [text for pair in source.shown() for text in _pair(source, *pair)]
    yield from source.derived([*body, *(pairs or ["yield from ()"])])


def _bounds(source: _Source, segment: _Segment) -> str:
    side = "keys" if segment not in source.queries else "tiles"
    return f"{segment.side.name}_{side}"


def _bounds_of(source: _Source, segment: _Segment) -> str:
    """Source: where the tiles of a segment begin."""
    if isinstance(segment.layout, Line):
        start = segment.start or "0"
        return f"[*range({start}, {segment.end}, {TILE}), {segment.end}]"
    places = f"torch.arange({segment.tokens})"
    given = ", ".join((places, *source.mask.parameters))
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
    counts = (_range(axis.size, side) for axis, side in pairs)
    return f"product({', '.join(counts)})"


def _range(size: int | str, side: int) -> str:
    if isinstance(size, int):
        return f"range({-(-size // side)})"
    return f"range({size})" if side == 1 else f"range(-(-{size} // {side}))"


def _sees(source: _Source) -> Iterator[str]:
    """The predicate; queries, and keys, are of one segment each."""
    yield f"def {source.name}_sees({source.given('q: Tensor', 'k: Tensor')}) -> Tensor:"
    about = f"Whether queries see keys, of one segment each: bool [q, k]; {source.owner}."
    yield f'    """{_told(about, ";")}"""'
    pairs = [*source.shown()]
    if source.alone and pairs:
        yield from source.derived(_seen(*pairs[0]))
        return
    body: list[str] = []
    for query in source.queries:
        own = [(key, mask) for q, key, mask in pairs if q == query]
        lines: list[str] = []
        for key, mask in own:
            lines.append(f"# {query.side.name} sees {key.side.name}: {unparse(mask)}")
            lines += _within("k", key, _seen(query, key, mask))
        if lines:
            body += _within("q", query, [*lines, "return q + k < 0"])
    yield from source.derived([*body, "return q + k < 0"])


def _seen(query: _Segment, key: _Segment, mask: Mask) -> Iterator[str]:
    """Statements that return who of one segment sees whom of another."""
    formula = meaning(mask, query.side.geometry, key.side.geometry)
    text = as_source(formula)
    for side, letter in ((query, "q"), (key, "k")):
        for name, of in coordinates(side.side.geometry, letter):
            if _used(name, text):
                yield f"{name} = {of}"
    if text in ("True", "False"):
        yield "return q + k >= 0" if text == "True" else "return q + k < 0"
        return
    statements = as_statements(formula, "seen", _ROOM)
    rest = next((letter for letter in "qk" if not re.search(rf"\b{letter}", text)), "")
    if len(statements) > 1:
        yield from statements
        text = "seen"
    elif rest:
        text = f"({text})"
    yield f"return {text} & ({rest} >= 0)" if rest else f"return {text}"


def _within(letter: str, segment: _Segment, lines: Iterable[str]) -> Iterator[str]:
    """Statements for tokens of a segment alone, counted from its first."""
    first = f"int({letter}.flatten()[0])"
    yield f"if {segment.start or 0} <= {first} < {segment.end}:"
    if segment.start:
        start = f"({segment.start})" if "+" in segment.start else segment.start
        yield f"    {letter} = {letter} - {start}"
    yield from (f"    {text}" for text in lines)


def _order(source: _Source) -> Iterator[str]:
    """The function that says which token stands where."""
    yield f"def {source.name}_order({source.given()}) -> tuple[Tensor, Tensor]:"
    yield '    """Which query and which key stands at each place."""'
    texts = []
    for side in (source.queries, source.keys):
        parts = []
        for segment in side:
            tokens = f"torch.arange({segment.tokens})"
            if not isinstance(segment.layout, Line):
                given = ", ".join((tokens, *source.mask.parameters))
                tokens = f"{source.name}_{segment.side.name}_place({given}).argsort(stable=True)"
            parts.append(f"{tokens} + {segment.start}" if segment.start else tokens)
        texts.append(f"torch.cat([{', '.join(parts)}])" if len(parts) > 1 else parts[0])
    if texts[0] == texts[1]:
        yield from source.derived([f"order = {texts[0]}", "return order, order"])
        return
    body = [f"queries = {texts[0]}", f"keys = {texts[1]}", "return queries, keys"]
    yield from source.derived(body)
