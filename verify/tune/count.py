"""How many tiles of a mask hold a visible pair, and how many no hidden one: exact, and quick.

Short segments are counted pair by pair. Long lines by the intervals that a tile sees
(`verify/costs/touched.py`) or by distances (`verify/costs/stepped.py`), all else by closed forms
of isl, or by the loops over tiles, evaluated for many tiles at once; so the time does not grow
with the length.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import prod
from typing import Final

from mmspec.compiler.relations.counting.counting import count
from mmspec.compiler.relations.counting.summation import TooManyPiecesError
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.loops.planned import granted
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.compiler.relations.meaning.terms import settled
from mmspec.expressions.mask import FULL, Mask, patterns
from mmspec.verify.chance import undrawn
from mmspec.verify.seen import Side
from mmspec.verify.tune.counted import Tiles, Tilings, by_pairs, known, met_by_pairs, related
from mmspec.verify.tune.drawn import by_drawn_blocks
from mmspec.verify.tune.intervals import by_intervals, seen_by_intervals
from mmspec.verify.tune.near import near
from mmspec.verify.tune.order import Tiling, windows
from mmspec.verify.tune.rows import by_rows

__all__ = ["met", "tiles"]

_FEW: Final = 2**14
"""Pairs that are looked at one by one in any case."""

_SMALL: Final = 2**20
"""Pairs that are, whatever the mask, where it is no line of intervals."""

_LARGE: Final = 2**28
"""Pairs that are, where nothing else answers."""

_CELL: Final = 16
"""Pairs that cost as much as a place in the table of sums."""

_OPERATIONS: Final = 200_000


@lru_cache(maxsize=4096)
def tiles(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles | None:
    """The tiles of a mask between whole segments; None where no way is quick enough."""
    pairs = query.stop * key.stop
    if not pairs:
        return Tiles(0, 0)
    if mask == FULL:
        every = prod(tiling.count(x) for tiling, x in zip(tilings, (query, key), strict=True))
        return Tiles(every, every)
    if _is_split(mask, query, key, tilings):
        return _of_parts(query, tilings)
    found = by_intervals(mask, query, key, tilings) if pairs > _FEW else None
    if found is not None:
        return found
    if pairs <= _SMALL:
        return by_pairs(mask, query, key, tilings)
    found = _quickly(mask, query, key, tilings)
    if found is None and _looked_at(mask, query, key, tilings) <= _LARGE:
        found = by_pairs(mask, query, key, tilings)
    return found


@lru_cache(maxsize=4096)
def met(
    mask: Mask, query: Side, key: Side, groups: tuple[Tiling, ...], single: Tiling
) -> tuple[int, ...] | None:
    """How many keys groups of queries see, all groups together; None where no way is quick enough.

    groups: some ways to cut the queries. single: the keys, each for itself.
    """
    pairs = query.stop * key.stop
    ways = [(group, single) for group in groups]
    if not pairs or mask == FULL or _is_split(mask, query, key, ways[0]):
        return _touched(tiles(mask, query, key, way) for way in ways)
    if pairs > _FEW:
        each = [seen_by_intervals(mask, query, key, way) for way in ways]
        if None not in each:
            return tuple(number for number in each if number is not None)
    if pairs > _SMALL:
        found = _touched(_quickly(mask, query, key, way) for way in ways)
        if found is not None:
            return found
    local = near(mask, known(query)) if query.geometry == key.geometry else None
    if (pairs if local is None else local.pairs(query.stop, key.stop)) > _LARGE:
        return None
    return met_by_pairs(mask, query, key, groups)


def _touched(found: Iterable[Tiles | None]) -> tuple[int, ...] | None:
    """None once one is not counted."""
    touched = []
    for one in found:
        if one is None:
            return None
        touched.append(one.touched)
    return tuple(touched)


def _looked_at(mask: Mask, query: Side, key: Side, tilings: Tilings) -> int:
    """The pairs that are, if they are looked at one by one."""
    pairs = query.stop * key.stop
    if {tiling.kind for tiling in tilings} != {"rows"} or query.geometry != key.geometry:
        return pairs
    local = near(mask, known(query))
    return pairs if local is None else max(local.pairs(query.stop, key.stop), pairs // _CELL)


def _quickly(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles | None:
    """In a time that does not grow with the pairs, if that can be."""
    plain = settled(mask, key.most)
    if plain != mask:
        return tiles(plain, query, key, tilings)
    if not is_closed(mask):
        rest = tiles(undrawn(mask), query, key, tilings)
        return rest and by_drawn_blocks(mask, query, key, tilings, rest)
    if _repeats(mask, tilings):
        return by_rows(mask, query, key, tilings)
    if _is_jagged(mask, query, key, tilings) and _looked_at(mask, query, key, tilings) <= _LARGE:
        return None
    sides = tilings[0].sides, tilings[1].sides
    try:
        with limited(_OPERATIONS):
            shown = relation(mask, known(query), known(key))
        with limited(granted(_OPERATIONS, shown, sides)):
            maps = related(shown, tilings)
            if maps is None:
                return None
            touched, mixed = (count(found.wrap(), ()).at({}) for found in maps)
    except (TooHardError, TooManyPiecesError):
        return by_rows(mask, query, key, tilings)
    return Tiles(touched, touched - mixed)


def _repeats(mask: Mask, tilings: Tilings) -> bool:
    """Whether blocks and tiles fall together so seldom that their closed forms are long."""
    sizes = [size for pattern in patterns(mask) if (size := pattern.along().size) is not None]
    wide = [tiling.tokens for tiling in tilings if tiling.kind == "rows"]
    return len(wide) == 2 and any(a % b and b % a for a in sizes for b in wide)


def _is_jagged(mask: Mask, query: Side, key: Side, tilings: Tilings) -> bool:
    """Whether grids are cut where rows and windows are not, which isl answers late or never."""
    windows = any(pattern.is_windows for pattern in patterns(mask))
    return any(
        tiling.kind == "rows" or windows
        for tiling, place in zip(tilings, (query, key), strict=True)
        if len(place.geometry.axes) > 1
    )


def _is_split(mask: Mask, query: Side, key: Side, tilings: Tilings) -> bool:
    """Whether the mask is exactly that tokens which stand together see each other."""
    asked = {tiling.pattern for tiling in tilings}
    return query == key and {t.kind for t in tilings} == {"windows"} and asked == {mask}


def _of_parts(place: Side, tilings: Tilings) -> Tiles:
    """Of windows that see all of themselves."""
    pattern = tilings[0].pattern
    assert pattern is not None
    touched = sum(
        number * prod(-(-area // tiling.tokens) for tiling in tilings)
        for area, number in windows(place, pattern)
    )
    return Tiles(touched, touched)
