"""Tiles of a mask of lines, counted row by row of tiles; rows in the middle repeat.

Move queries and keys on by a common multiple of all that a mask and its tiles repeat by, and away
from both ends nothing changes but how many tiles lie far to either side. So the number in a row
grows by the same amount from each period to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import lcm

from mmspec.compiler.relations.faithful import proved
from mmspec.compiler.relations.geometry import Geometry
from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.relation import relation
from mmspec.compiler.relations.schedule import Schedule
from mmspec.expressions.mask import Mask, patterns
from mmspec.verify.seen import Side
from mmspec.verify.tune.counted import Tiles, Tilings, known, related

__all__ = ["by_rows", "summed"]

_OPERATIONS = 3_000_000
_REPEATING = frozenset({"step", "size"})


def by_rows(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles | None:
    """The tiles of a mask between lines whose tiles are runs; None where that takes too long."""
    geometry, other = known(query), known(key)
    if len(geometry.axes) != 1 or len(other.axes) != 1:
        return None
    found = _schedule(mask, geometry, other, tilings)
    if found is None:
        return None

    def row(index: int) -> tuple[int, int]:
        runs = found.runs(index, {})
        touched = sum(stop - start for start, stop, _ in runs)
        return touched, sum(stop - start for start, stop, inside in runs if inside)

    tall = tilings[0].tokens
    rows = -(-query.stop // tall)
    if geometry != other:
        return _plain(row, rows)
    found_edge = repeats(mask, tilings)
    if found_edge is None:
        return _plain(row, rows)
    period, edge = found_edge
    return Tiles(*summed(row, rows, period // tall, -(-edge // tall)))


def _plain(row: Callable[[int], tuple[int, int]], rows: int) -> Tiles:
    total = Tiles(0, 0)
    for index in range(rows):
        total += Tiles(*row(index))
    return total


@lru_cache(maxsize=256)
def _schedule(mask: Mask, query: Geometry, key: Geometry, tilings: Tilings) -> Schedule | None:
    sides = tilings[0].sides, tilings[1].sides
    try:
        with limited(_OPERATIONS):
            shown = relation(mask, query, key)
            maps = related(shown, tilings)
            assert maps is not None, tilings
            touched, mixed = maps
            context = isl.Set(f"[i] -> {{ : 0 <= i and {sides[0][0]} * i < {query.axes[0].size} }}")
            tiles = {True: touched.subtract(mixed), False: mixed}
            body = proved(tiles, context, shown.tile_names, _OPERATIONS)
    except TooHardError:
        return None
    return None if body is None else Schedule(shown, *sides, body)


def repeats(mask: Mask, tilings: Tilings) -> tuple[int, int] | None:
    """The tokens after which a mask and its tiles repeat, and how far from the ends they do.

    None where that is not told by whole numbers: a time is not.
    """
    if any(pattern.name == "within" for pattern in patterns(mask)):
        return None
    numbers = [
        (name, value)
        for pattern in patterns(mask)
        for name, value in pattern.arguments
        if isinstance(value, int)
    ]
    wide = [tiling.tokens for tiling in tilings]
    period = lcm(*wide, *(value for name, value in numbers if name in _REPEATING))
    return period, sum(value for _, value in numbers) + 2 * sum(wide) + period


def summed(
    row: Callable[[int], tuple[int, int]], rows: int, period: int, edge: int
) -> tuple[int, int]:
    """The sum over all rows, of which those `edge` from the ends repeat, growing evenly."""
    first, last = edge, rows - edge
    whole = (last - first) // period
    if whole < 3:
        parts = [row(index) for index in range(rows)]
        return sum(a for a, _ in parts), sum(b for _, b in parts)
    ends = [row(at) for at in (*range(first), *range(first + whole * period, rows))]
    one, two = ([row(first + n * period + at) for at in range(period)] for n in (0, 1))
    totals = []
    for side in (0, 1):
        start, then = sum(pair[side] for pair in one), sum(pair[side] for pair in two)
        middle = whole * start + Fraction(whole * (whole - 1), 2) * (then - start)
        totals.append(sum(pair[side] for pair in ends) + int(middle))
    return totals[0], totals[1]
