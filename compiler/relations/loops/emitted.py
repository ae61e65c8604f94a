"""Masks of sequences as the source of patterns: what a package passes over tiles by.

pattern_source(name, mask) -> source: for each pair of segments the loops that isl found, and a
predicate over tokens for the tiles that are not seen as a whole. What is run is that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mmspec.compiler.relations.loops.arrangement import (
    TILE,
    Boxes,
    Classes,
    Line,
    coordinates,
    layout,
)
from mmspec.compiler.relations.loops.emitted_parts import Segment, Source, tokens_of, used
from mmspec.compiler.relations.loops.emitted_tables import (
    literals,
    seen_formula,
    terms_of,
)
from mmspec.compiler.relations.loops.schedule import Schedule, schedule_of
from mmspec.compiler.relations.loops.tiles import Tile
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.formula import as_source, as_statements
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.compiler.relations.meaning.sequence import SequenceMask
from mmspec.compiler.relations.meaning.terms import Term
from mmspec.expressions.mask import FULL, Mask, unparse

__all__ = ["pattern_definitions", "pattern_source"]

_ROOM = 72


def pattern_source(name: str, mask: SequenceMask) -> str:
    """Definitions that end with the pattern, registered by its name.

    What they use is in `runtime/sparse_pattern.py`. The functions take `mask.parameters`. Every
    mask must be a formula. Raises MeaninglessError.
    """
    return "\n\n\n".join(pattern_definitions(name, name, mask))


def pattern_definitions(name: str, owner: str, mask: SequenceMask) -> list[str]:
    """The same, each by itself; `owner`: whose mask it is, in words."""
    source = Source(name, owner, mask, *_placed(mask))
    parts = [*_places(source), *_loops(source)]
    parts.append([*_blocks(source)])
    parts.append([*_sees(source)])
    order = ""
    if any(segment.layout != Line() for segment in source.segments):
        parts.append([*_order(source)])
        order = f", {name}_order"
    if mask.packed:
        order += ", samples=samples"
    made = f"Pattern({name}_blocks, {name}_sees{order})"
    parts.append([f'{name.upper()} = register("{name}", {made})'])
    return ["\n".join(part) + "\n" for part in parts]


def _placed(mask: SequenceMask) -> Iterator[tuple[Segment, ...]]:
    for sides in (mask.queries, mask.keys):
        sizes = [tokens_of(side) for side in sides]
        yield tuple(
            Segment(side, " + ".join(sizes[:place]), layout(mask, side))
            for place, side in enumerate(sides)
        )


def _places(source: Source) -> Iterator[list[str]]:
    """For each segment whose tokens stand in another order: their tiles or classes."""
    for side, found in dict.fromkeys((s.side, s.layout) for s in source.segments):
        if isinstance(found, Line):
            continue
        head = f"def {source.name}_{side.name}_place({source.given('t: Tensor')}) -> Tensor:"
        what = "box" if isinstance(found, Boxes) else "class"
        lines = [head, f'    """The {what} that tokens of {side.name} stand in."""']
        body = [f"{x} = {of}" for x, of in coordinates(side.geometry, "t") if used(x, found.place)]
        yield [*lines, *source.derived([*body, f"return {found.place}"])]


def _loops(source: Source) -> Iterator[list[str]]:
    """For each pair of segments the runs of keys of a tile of queries."""
    for query, key, mask in source.shown():
        within = isinstance(query.layout, Classes) and query.side == key.side
        if isinstance(query.layout, Classes) and within:
            mask = query.layout.inner
        for term in terms_of(mask, key.side):
            if term.closed == FULL:
                continue
            found = _schedule(query, key, term.closed)
            _, *body = found.python().splitlines()
            given = ", ".join(f"{name}: int" for name in found.arguments)
            text = f"Tiles of {key.side.name} seen by tile i of {query.side.name}"
            text = _told(text + " within a class" * within + f": {unparse(term.closed)}.")
            yield [
                f"def {_runs_name(source, query, key, term)}({given}) -> Iterator[Run]:",
                f'    """{text}"""',
                *body,
            ]


def _told(text: str, end: str = ":") -> str:
    """A docstring or a comment, without its end where that makes it too long."""
    return text if len(text) <= 90 else text.rpartition(end)[0] + "."


def _runs_name(source: Source, query: Segment, key: Segment, term: Term | None = None) -> str:
    """term: which one of a mask with tables."""
    name = f"{source.name}_runs"
    if not source.alone:
        name += f"_{query.side.name}_{key.side.name}"
    found = [t for t in terms_of(source.of(query, key), key.side) if t.closed != FULL]
    return name if term is None or len(found) < 2 else f"{name}_{found.index(term) + 1}"


def _schedule(query: Segment, key: Segment, mask: Mask) -> Schedule:
    """The loops of a pair of segments over the tiles that suit them; of classes, within one."""
    if isinstance(query.layout, Classes) and query.side == key.side:
        of_class = line("m")
        return schedule_of(query.layout.inner, of_class, of_class, (TILE, TILE), turned=False)
    tiles = _tile(query), _tile(key)
    return schedule_of(mask, query.side.geometry, key.side.geometry, tiles, turned=False)


def _tile(segment: Segment) -> int | Tile:
    return segment.layout.sides if isinstance(segment.layout, Boxes) else TILE


def _blocks(source: Source) -> Iterator[str]:
    """The function that goes through all pairs."""
    yield f"def {source.name}_blocks({source.asked()}) -> Iterator[Seen]:"
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


def _bounds(source: Source, segment: Segment) -> str:
    side = "keys" if segment not in source.queries else "tiles"
    return f"{segment.side.name}_{side}"


def _bounds_of(source: Source, segment: Segment) -> str:
    """Source: where the tiles of a segment begin."""
    if isinstance(segment.layout, Line):
        start = segment.start or "0"
        return f"[*range({start}, {segment.end}, {TILE}), {segment.end}]"
    places = f"torch.arange({segment.tokens})"
    given = ", ".join((places, *source.mask.parameters))
    return f"bounds({segment.start or '0'}, {source.name}_{segment.side.name}_place({given}))"


def _pair(source: Source, query: Segment, key: Segment, mask: Mask) -> Iterator[str]:
    """Statements that yield the blocks of a pair of segments."""
    if not is_closed(mask):
        yield from _tabled(source, query, key)
        return
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


def _tabled(source: Source, query: Segment, key: Segment) -> Iterator[str]:
    """The same where a part of the mask is a table: term by term."""
    for term in terms_of(source.of(query, key), key.side):
        runs, sizes = "everything", [key.tokens]
        if term.closed != FULL:
            runs = _runs_name(source, query, key, term)
            sizes = [*_schedule(query, key, term.closed).relation.symbols]
        cut = literals(source.mask, query.side, key.side, term)
        yield f"yield from tabled({', '.join((runs, cut, query.span, key.span, *sizes))})"


def _indices(segment: Segment) -> str:
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


def _sees(source: Source) -> Iterator[str]:
    """The predicate; queries, and keys, are of one segment each."""
    yield f"def {source.name}_sees({source.asked('q: Tensor', 'k: Tensor')}) -> Tensor:"
    about = f"Whether queries see keys, of one segment each: bool [q, k]; {source.owner}."
    yield f'    """{_told(about, ";")}"""'
    pairs = [*source.shown()]
    if source.alone and pairs:
        yield from source.derived(_seen(source, *pairs[0][:2]))
        return
    body: list[str] = []
    for query in source.queries:
        own = [(key, mask) for q, key, mask in pairs if q == query]
        lines: list[str] = []
        for key, mask in own:
            lines.append(_told(f"# {query.side.name} sees {key.side.name}: {unparse(mask)}"))
            lines += _within("k", key, _seen(source, query, key))
        if lines:
            body += _within("q", query, [*lines, "return q + k < 0"])
    yield from source.derived([*body, "return q + k < 0"])


def _seen(source: Source, query: Segment, key: Segment) -> Iterator[str]:
    """Statements that return who of one segment sees whom of another."""
    tables, formula = seen_formula(source.mask, query.side, key.side)
    yield from tables
    text = as_source(formula)
    for side, letter in ((query, "q"), (key, "k")):
        for name, of in coordinates(side.side.geometry, letter):
            if used(name, text):
                yield f"{name} = {of}"
    if text in ("True", "False"):
        yield "return q + k >= 0" if text == "True" else "return q + k < 0"
        return
    statements = as_statements(formula, "seen", _ROOM)
    rest = next((letter for letter in "qk" if not re.search(rf"\b{letter}", text)), "")
    rest = "" if tables else rest
    if len(statements) > 1:
        yield from statements
        text = "seen"
    elif rest:
        text = f"({text})"
    yield f"return {text} & ({rest} >= 0)" if rest else f"return {text}"


def _within(letter: str, segment: Segment, lines: Iterable[str]) -> Iterator[str]:
    """Statements for tokens of a segment alone, counted from its first."""
    first = f"int({letter}.flatten()[0])"
    yield f"if {segment.start or 0} <= {first} < {segment.end}:"
    if segment.start:
        start = f"({segment.start})" if "+" in segment.start else segment.start
        yield f"    {letter} = {letter} - {start}"
    yield from (f"    {text}" for text in lines)


def _order(source: Source) -> Iterator[str]:
    """The function that says which token stands where."""
    yield f"def {source.name}_order({source.asked()}) -> tuple[Tensor, Tensor]:"
    yield '    """Which query and which key stands at each place."""'
    texts, body = [], []
    for side in (source.queries, source.keys):
        parts = []
        for segment in side:
            tokens = f"torch.arange({segment.tokens})"
            if not isinstance(segment.layout, Line):
                given = ", ".join((tokens, *source.mask.parameters))
                place = f"{segment.side.name}_place"
                body.append(f"{place} = {source.name}_{place}({given})")
                tokens = f"{place}.argsort(stable=True)"
            parts.append(f"{tokens} + {segment.start}" if segment.start else tokens)
        texts.append(f"torch.cat([{', '.join(parts)}])" if len(parts) > 1 else parts[0])
    body = list(dict.fromkeys(body))
    if texts[0] == texts[1]:
        body += [f"order = {texts[0]}", "return order, order"]
    else:
        body += [f"queries = {texts[0]}", f"keys = {texts[1]}", "return queries, keys"]
    yield from source.derived(body)
