"""Who sees whom by blocks of tokens: none, some or all of the pairs of a block, exactly.

shades(mask, query, key, rows, columns) -> int8 [blocks of queries, blocks of keys]. A pattern is
decided by arithmetic on the ends of blocks. Where two patterns meet that each show some pairs of
a block, its pairs are looked at one by one.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, patterns
from mmspec.verify import boxes
from mmspec.verify.boxes import Ends
from mmspec.verify.seen import BLOCK, Bools, Ints, Side, Times, drawn, in_order, seen

Shades = npt.NDArray[np.int8]

NONE: Final = 0
SOME: Final = 1
ALL: Final = 2
_UNKNOWN: Final = 3

_NOT: Final = np.array([ALL, SOME, NONE, _UNKNOWN], np.int8)
_AND: Final = np.array(
    [
        [NONE, NONE, NONE, NONE],
        [NONE, _UNKNOWN, SOME, _UNKNOWN],
        [NONE, SOME, ALL, _UNKNOWN],
        [NONE, _UNKNOWN, _UNKNOWN, _UNKNOWN],
    ],
    np.int8,
)

_DISTANCES: Final = frozenset({"full", "none", "causal", "window", "dilated", "strided"})
"""Patterns that depend on q - k alone."""

_IN_SPACE: Final = frozenset({"window2d", "window3d", "axial", "frame"})


def shades(mask: Mask, query: Side, key: Side, rows: Ints, columns: Ints) -> Shades:
    """Of each block; rows and columns: where blocks begin, and the end of the last one.

    A sample is one document.
    """
    if len(rows) < 2 or len(columns) < 2:
        return np.zeros((max(len(rows) - 1, 0), max(len(columns) - 1, 0)), np.int8)
    if rows[-1] == len(rows) - 1 and columns[-1] == len(columns) - 1:
        return (seen(mask, query, key) * ALL).astype(np.int8)
    ends = (
        Ends(rows[:-1, None], rows[1:, None] - 1),
        Ends(columns[None, :-1], columns[None, 1:] - 1),
    )
    found = np.array(
        np.broadcast_to(_shades(mask, query, key, ends), (len(rows) - 1, len(columns) - 1))
    )
    _look(found, mask, (query, key), (rows, columns))
    return found


def _shades(mask: Mask, query: Side, key: Side, ends: tuple[Ends, Ends]) -> Shades:
    if {pattern.name for pattern in patterns(mask)} <= _DISTANCES:
        return _by_distance(mask, query, key, ends)
    if isinstance(mask, Not):
        found: Shades = _NOT[_shades(mask.operand, query, key, ends)]
        return found
    if isinstance(mask, And | Or):
        left, right = (_shades(part, query, key, ends) for part in (mask.left, mask.right))
        if isinstance(mask, And):
            found = _AND[left, right]
        else:
            found = _NOT[_AND[_NOT[left], _NOT[right]]]
        return found
    return _coded(*_pattern(mask, query, key, ends))


def _coded(some: Bools, every: Bools) -> Shades:
    return np.where(every, ALL, np.where(some, SOME, NONE)).astype(np.int8)


def _pattern(
    pattern: Pattern, query: Side, key: Side, ends: tuple[Ends, Ends]
) -> tuple[Bools, Bools]:
    """Whether any pair of a block is visible, and whether all are."""
    if pattern.name in _IN_SPACE or (
        pattern.name == "shifted_window" and len(query.geometry.axes) > 1
    ):
        return boxes.decided(pattern, (query, key), ends)
    if pattern.name in ("block", "shifted_window"):
        size = pattern.size("size")
        shift = pattern.size("shift") if pattern.name == "shifted_window" else 0
        return boxes.near(ends[0].parts(size, shift), ends[1].parts(size, shift), 0)
    if pattern.name in ("global", "prefix"):
        return _first(pattern, ends)
    if pattern.name == "within":
        return _in_time(pattern, query, key, ends)
    if pattern.name == "random":
        return _by_chance(pattern, query, key, ends)
    assert pattern.name == "document", pattern
    return np.ones((1, 1), np.bool_), np.ones((1, 1), np.bool_)


def _by_distance(mask: Mask, query: Side, key: Side, ends: tuple[Ends, Ends]) -> Shades:
    """The distances q - k of a block's pairs are an interval, of which so many are visible."""
    lowest = 1 - key.stop
    visible = _at(mask, np.arange(lowest, query.stop))
    before = np.concatenate([[0], np.cumsum(np.broadcast_to(visible, query.stop - lowest))])
    q, k = ends
    start, stop = q.first - k.last - lowest, q.last - k.first - lowest + 1
    count = before[stop] - before[start]
    return _coded(count > 0, count == stop - start)


def _at(mask: Mask, distance: Ints) -> Bools:
    """Whether pairs at these distances are visible."""
    if isinstance(mask, Not):
        return ~_at(mask.operand, distance)
    if isinstance(mask, And):
        return _at(mask.left, distance) & _at(mask.right, distance)
    if isinstance(mask, Or):
        return _at(mask.left, distance) | _at(mask.right, distance)
    if mask.name in ("full", "none"):
        return np.full(len(distance), mask.name == "full")
    return in_order(mask, distance, np.zeros_like(distance))


def _first(pattern: Pattern, ends: tuple[Ends, Ends]) -> tuple[Bools, Bools]:
    """Patterns of the first tokens."""
    q, k = ends
    if pattern.name == "prefix":
        most = pattern.size("length")
        return k.first < most, k.last < most
    most = pattern.size("count")
    return (q.first < most) | (k.first < most), (q.last < most) | (k.last < most)


def _in_time(
    pattern: Pattern, query: Side, key: Side, ends: tuple[Ends, Ends]
) -> tuple[Bools, Bools]:
    """The ticks of keys near a tick of queries are an interval, whose ends rise with it."""
    times = Times.of(pattern, query, key)
    most, apart, slow, fast = times.most, times.apart, times.slow, times.fast
    q, k = (_ticks(side, at, times) for side, at in zip((query, key), ends, strict=True))
    ticks = times.exact(np.arange(int(q.last.max()) + 1))
    low, high = -((most - apart - ticks * slow) // fast), (apart + ticks * slow + most) // fast
    kept = low <= high
    ticks, low, high = ticks[kept], low[kept], high[kept]
    place = np.maximum(np.searchsorted(high, k.first), np.searchsorted(ticks, q.first))
    there = place < len(ticks)
    place = np.where(there, place, 0)
    some = there & (ticks[place] <= q.last) & (low[place] <= k.last) if len(ticks) else there
    early = apart + q.first * slow - k.last * fast >= -most
    late = apart + q.last * slow - k.first * fast <= most
    return np.asarray(some, np.bool_), np.asarray(early & late, np.bool_)


def _ticks(side: Side, ends: Ends, times: Times) -> Ends:
    """First coordinates, which clocks count."""
    area = prod(axis.size for axis in side.geometry.axes[1:] if isinstance(axis.size, int))
    return Ends(*(times.exact(end // area) for end in (ends.first, ends.last)))


def _by_chance(
    pattern: Pattern, query: Side, key: Side, ends: tuple[Ends, Ends]
) -> tuple[Bools, Bools]:
    """How many of the drawn blocks lie in a block."""
    drawn_of = -(-key.most // BLOCK)
    (top, bottom), (left, right) = (side.parts(BLOCK, 0) for side in ends)

    @lru_cache(maxsize=2)
    def within(place: int) -> Ints:
        row = np.zeros(drawn_of + 1, np.int64)
        row[[block + 1 for block in drawn(pattern, place, drawn_of)]] = 1
        before = row.cumsum()
        return np.asarray(before[right[0] + 1] - before[left[0]])

    rows = zip(top[:, 0].tolist(), bottom[:, 0].tolist(), strict=True)
    places = (range(first, last + 1) for first, last in rows)
    count = np.array([sum(within(place) for place in found) for found in places])
    return count > 0, count == (bottom + 1 - top) * (right + 1 - left)


def _look(found: Shades, mask: Mask, sides: tuple[Side, Side], cuts: tuple[Ints, Ints]) -> None:
    """Decide what is not yet known, run by run of blocks."""
    rows, columns = cuts
    for row in np.flatnonzero((found == _UNKNOWN).any(axis=1)):
        places = np.flatnonzero(found[row] == _UNKNOWN)
        for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
            start, stop = int(run[0]), int(run[-1]) + 1
            part = sides[0].part(int(rows[row]), int(rows[row + 1]))
            other = sides[1].part(int(columns[start]), int(columns[stop]))
            table = seen(mask, part, other)
            at = columns[start:stop] - columns[start]
            some = np.logical_or.reduceat(table.any(axis=0), at)
            found[row, start:stop] = _coded(some, np.logical_and.reduceat(table.all(axis=0), at))
