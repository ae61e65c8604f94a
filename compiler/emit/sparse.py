"""Masks -> the source of patterns: which runs of keys each tile of queries sees, as loops.

An attention has patterns where so many tiles show nothing that passing them over pays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mmspec.compiler import ir
from mmspec.compiler.emit.coordinates import expression, statements
from mmspec.compiler.emit.masks import FULL, NONE, Groups, Segments, simplify
from mmspec.compiler.relations.geometry import Geometry
from mmspec.expressions.mask import Mask, unparse

if TYPE_CHECKING:
    from mmspec.compiler.relations.schedule import Schedule

TILE: Final = 64
"""Queries and keys of a tile."""

NAMES: Final = ("Block", "Pattern", "Run", "register", "tiled")
"""What the definitions take from the package's sparse_plan.py."""

_LONG: Final = 512
"""Tokens from which on a mask may be worth more than one dense call."""

_SHARE: Final = 0.5
"""Of the tiles that may be touched for that."""

Shown = tuple[ir.Segment, ir.Segment, Mask]
Longest = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A pattern's name, and the definitions that it stands for."""

    name: str
    definitions: tuple[str, ...]


def is_sparse(groups: Groups, sides: tuple[Segments, Segments]) -> bool:
    """Whether at the longest lengths enough tiles are passed over, by all heads alike."""
    if any(sum(s.tokens.max for s in side) < _LONG for side in sides) or len(groups) != 1:
        return False
    (group,) = groups
    shown = shown_pairs(group.masks, sides)
    if not all(_has_loops(*pair) for pair in shown):
        return False
    touched = sum(_touched(mask, *_ends(query, key)) for query, key, mask in shown)
    queries, keys = (sum(-(-segment.tokens.max // TILE) for segment in side) for side in sides)
    return touched <= _SHARE * queries * keys


def shown_pairs(pairs: ir.Pairs, sides: tuple[Segments, Segments]) -> list[Shown]:
    """Pairs of segments that see anything, and their masks."""
    known = [{segment.name: segment for segment in side} for side in sides]
    found = ((known[0][query], known[1][key], simplify(mask)) for query, key, mask in pairs)
    return [pair for pair in found if pair[2] != NONE]


def _has_loops(query: ir.Segment, key: ir.Segment, mask: Mask) -> bool:
    """Whether loops over tiles of single tokens can be had for a pair of segments."""
    from mmspec.compiler.relations.patterns import is_closed

    flat = (len(s.geometry.axes) == 1 or not s.geometry.symbols for s in (query, key))
    return is_closed(mask) and all(flat)


def _ends(query: ir.Segment, key: ir.Segment) -> tuple[Geometry, Geometry, Longest]:
    """Where the tokens of both stand, and the longest lengths, by symbol."""
    found = {s: segment.tokens.max for segment in (query, key) for s in segment.geometry.symbols}
    return query.geometry, key.geometry, tuple(found.items())


@lru_cache(maxsize=256)
def _touched(mask: Mask, query: Geometry, key: Geometry, lengths: Longest) -> int:
    """Tiles with a visible pair."""
    found, most = scheduled(mask, query, key), dict(lengths)
    rows = range(-(-query.tokens(most) // TILE))
    return sum(stop - start for i in rows for start, stop, _ in found.runs(i, most))


@lru_cache(maxsize=256)
def scheduled(
    mask: Mask, query: Geometry, key: Geometry, tiles: tuple[int, int] = (TILE, TILE)
) -> Schedule:
    """The loops over tiles of single tokens between two segments."""
    from mmspec.compiler.relations.relation import relation
    from mmspec.compiler.relations.schedule import schedule

    found = relation(mask, query, key)
    if len(query.axes) > 1 or len(key.axes) > 1:
        found = found.flat()
    return schedule(found, *tiles)


def source(name: str, of: str, pairs: ir.Pairs, sides: tuple[Segments, Segments]) -> Source:
    """A pattern; `of`: whose it is, in words."""
    shown = shown_pairs(pairs, sides)
    runs = (_runs(_runs_name(name, pair, sides), *pair) for pair in shown)
    known = (f'{name.upper()} = register("{name}", Pattern({name}_blocks, {name}_sees))',)
    parts = (*runs, _blocks(name, of, shown, sides), _sees(name, of, shown, sides), known)
    return Source(name, tuple("\n".join(lines) + "\n" for lines in parts))


def _runs_name(name: str, pair: Shown, sides: tuple[Segments, Segments]) -> str:
    if len(sides[0]) == len(sides[1]) == 1:
        return f"{name}_runs"
    return f"{name}_runs_{pair[0].name}_{pair[1].name}"


def _runs(name: str, query: ir.Segment, key: ir.Segment, mask: Mask) -> Iterator[str]:
    schedule = scheduled(mask, query.geometry, key.geometry)
    _, *body = schedule.python().splitlines()
    parameters = ", ".join(f"{argument}: int" for argument in schedule.arguments)
    yield f"def {name}({parameters}) -> Iterator[Run]:"
    text = f"Tiles of {key.name} seen by tile i of {query.name}: {unparse(mask)}."
    if len(text) > 90:
        text = f"Tiles of {key.name} seen by tile i of {query.name}."
    yield f'    """{text}"""'
    yield from body


def _lengths(sides: tuple[Segments, Segments]) -> list[str]:
    """Lengths of all segments, queries first, each once: `n_text`."""
    return [f"n_{name}" for name in dict.fromkeys(s.name for side in sides for s in side)]


def starts_of(segments: Segments) -> dict[str, str]:
    """Where each segment begins."""
    names = [f"n_{segment.name}" for segment in segments]
    return {s.name: " + ".join(names[:place]) for place, s in enumerate(segments)}


def _blocks(
    name: str,
    of: str,
    shown: list[Shown],
    sides: tuple[Segments, Segments],
) -> Iterator[str]:
    parameters = ", ".join(f"{length}: int" for length in _lengths(sides))
    yield f"def {name}_blocks({parameters}) -> Iterator[Block]:"
    yield f'    """The queries of {of} by tiles of {TILE}, and the runs of keys they see."""'
    starts = [starts_of(side) for side in sides]
    for query, key, mask in shown:
        spans = [_span(starts[place], segment) for place, segment in enumerate((query, key))]
        given = [_runs_name(name, (query, key, mask), sides), str(TILE), *spans]
        given += scheduled(mask, query.geometry, key.geometry).relation.symbols
        yield f"    yield from tiled({', '.join(given)})"
    if not shown:
        yield "    yield from ()"


def _span(starts: dict[str, str], segment: ir.Segment) -> str:
    start, size = starts[segment.name], f"n_{segment.name}"
    return f"range({start}, {start} + {size})" if start else f"range({size})"


def _sees(
    name: str,
    of: str,
    shown: list[Shown],
    sides: tuple[Segments, Segments],
) -> Iterator[str]:
    parameters = ", ".join(f"{length}: int" for length in _lengths(sides))
    yield f"def {name}_sees(q: Tensor, k: Tensor, {parameters}) -> Tensor:"
    yield f'    """Whether queries of {of} see keys: of one segment each, bool [q, k]."""'
    starts = [starts_of(side) for side in sides]
    seeing = [query for query in sides[0] if any(pair[0] is query for pair in shown)]
    for place, query in reversed(list(enumerate(seeing))):
        own = [pair for pair in shown if pair[0] is query]
        lines = _moved("q", starts[0][query.name], [*_keys(own, starts[1])], alone=place == 0)
        yield from (f"    {line}" for line in lines)
    if not shown:
        yield "    return q + k < 0"


def _moved(letter: str, start: str, lines: list[str], alone: bool) -> Iterator[str]:
    """Statements for tokens from `start` on, counted from there; `alone`: no others are left."""
    if start:
        inner = (
            f"{letter} = {letter} - ({start})" if "+" in start else f"{letter} = {letter} - {start}"
        )
        lines = [inner, *lines]
    if not start or alone:
        yield from lines
        return
    yield f"if int({letter}[0]) >= {start}:"
    yield from (f"    {line}" for line in lines)


def _keys(own: list[Shown], starts: dict[str, str]) -> Iterator[str]:
    """Statements that return what queries of one segment see."""
    for place, (query, key, mask) in reversed(list(enumerate(own))):
        if mask == FULL:
            lines = ["return q + k >= 0"]
        else:
            lines = [x for x in statements(mask, query, key) if not re.match(r"[qk] = ", x)]
            lines.append(f"return {expression(mask, query, key)}")
        yield from _moved("k", starts[key.name], lines, alone=place == 0)
