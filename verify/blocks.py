"""Who sees whom by blocks of tokens: none, some or all of the pairs of a block, exactly.

shades(mask, query, key, rows, columns) -> int8 [blocks of queries, blocks of keys]. A pattern is
decided by arithmetic on the ends of blocks. Where two patterns meet that each show some pairs of
a block, its pairs are looked at one by one.
"""

from __future__ import annotations

from itertools import pairwise
from math import isqrt, prod
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.expressions.mask import Mask, Pattern, drawn, fold
from mmspec.verify import boxes
from mmspec.verify.boxes import Ends
from mmspec.verify.distances import Distances, of_distance
from mmspec.verify.seen import BLOCK, Bools, Ints, Side, Times, draws, seen, seen_at

Shades = npt.NDArray[np.int8]

NONE: Final = 0
SOME: Final = 1
ALL: Final = 2
_UNKNOWN: Final = 3

_MOST: Final = 2**24
"""Pairs that are looked at one by one."""

_CHUNK: Final = 2**22
"""Of them those that are held at a time."""

_DRAWN: Final = 2**20
"""Random blocks that are drawn."""

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


def shades(mask: Mask, query: Side, key: Side, rows: Ints, columns: Ints) -> Shades:
    """Of each block; rows and columns: where blocks begin, and the end of the last one.

    A sample is one document. Some pairs of each block stand for the others where `is_sampled`.
    """
    if len(rows) < 2 or len(columns) < 2:
        return np.zeros((max(len(rows) - 1, 0), max(len(columns) - 1, 0)), np.int8)
    if rows[-1] == len(rows) - 1 and columns[-1] == len(columns) - 1:
        return (seen(mask, query, key) * ALL).astype(np.int8)
    found = _told(mask, query, key, rows, columns)
    _look(found, mask, (query, key), (rows, columns))
    return found


def is_sampled(mask: Mask, query: Side, key: Side, rows: Ints, columns: Ints) -> bool:
    """Whether there are too many pairs to look at, or blocks to draw, for each to be looked at."""
    if any(_every(pattern, rows, key) > 1 for pattern in drawn(mask)):
        return True
    return _sides(_told(mask, query, key, rows, columns), (rows, columns)) is not None


def _told(mask: Mask, query: Side, key: Side, rows: Ints, columns: Ints) -> Shades:
    """What arithmetic on the ends of blocks tells of them."""
    ends = (
        Ends(rows[:-1, None], rows[1:, None] - 1),
        Ends(columns[None, :-1], columns[None, 1:] - 1),
    )
    shape = len(rows) - 1, len(columns) - 1
    return np.array(np.broadcast_to(block_shades(mask, query, key, ends), shape))


def block_shades(mask: Mask, query: Side, key: Side, ends: tuple[Ends, Ends]) -> Shades:
    """What is told of blocks by their ends alone, which are broadcast against each other."""

    def by_distance(part: Mask) -> Shades | None:
        return _by_distance(part, query, key, ends) if of_distance(part) else None

    return fold(
        mask,
        lambda pattern: _coded(*_pattern(pattern, query, key, ends)),
        _hidden,
        lambda one, other: np.asarray(_AND[one, other]),
        lambda one, other: _hidden(np.asarray(_AND[_hidden(one), _hidden(other)])),
        whole=by_distance,
    )


def _hidden(shades: Shades) -> Shades:
    return np.asarray(_NOT[shades])


def _coded(some: Bools, every: Bools) -> Shades:
    return np.where(every, ALL, np.where(some, SOME, NONE)).astype(np.int8)


def _pattern(
    pattern: Pattern, query: Side, key: Side, ends: tuple[Ends, Ends]
) -> tuple[Bools, Bools]:
    """Whether any pair of a block is visible, and whether all are."""
    if pattern.facts.by == "grid" and len(query.geometry.axes) > 1:
        return boxes.decided(pattern, (query, key), ends)
    if pattern.first is not None:
        return _first(pattern.first, ends)
    if pattern.facts.is_by_order:
        return boxes.kept(pattern.along(), *ends)
    if pattern.facts.by == "clock":
        return _in_time(pattern, query, key, ends)
    if pattern.facts.is_drawn:
        return _by_chance(pattern, query, key, ends)
    assert pattern.facts.is_packed, pattern
    return np.ones((1, 1), np.bool_), np.ones((1, 1), np.bool_)


def _by_distance(mask: Mask, query: Side, key: Side, ends: tuple[Ends, Ends]) -> Shades:
    """The distances q - k of a block's pairs are an interval, of which so many are visible."""
    q, k = ends
    start, stop = q.first - k.last, q.last - k.first + 1
    try:
        known = Distances(mask, 1 - key.stop, query.stop)
    except OverflowError:
        return np.full(np.broadcast_shapes(start.shape, stop.shape), _UNKNOWN, np.int8)
    count = known.before(stop) - known.before(start)
    return _coded(count > 0, count == stop - start)


def _first(counts: tuple[int, int], ends: tuple[Ends, Ends]) -> tuple[Bools, Bools]:
    """Patterns of so many first queries and keys."""
    (queries, keys), (q, k) = counts, ends
    some = (q.first < queries) | (k.first < keys)
    return some, (q.last < queries) | (k.last < keys)


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
    there = -(-key.most // BLOCK)
    (top, bottom), (left, right) = (side.parts(BLOCK, 0) for side in ends)
    every = _every(pattern, np.append(ends[0].first[:, 0], ends[0].last[-1, 0] + 1), key)
    both = zip(top[:, 0].tolist(), bottom[:, 0].tolist(), strict=True)
    each = [np.arange(first, last + 1, every) for first, last in both]
    where = np.cumsum([0, *map(len, each)])
    every_draw, rows = draws(pattern, np.concatenate(each), there), []
    for first, last in pairwise(where.tolist()):
        known = np.sort(every_draw[first:last], axis=None)
        count = np.searchsorted(known, right[0], "right") - np.searchsorted(known, left[0])
        rows.append((count > 0, count == (last - first) * (right[0] + 1 - left[0])))
    some, all_ = zip(*rows, strict=True)
    return np.array(some), np.array(all_)


def _every(pattern: Pattern, rows: Ints, key: Side) -> int:
    """One of so many blocks of queries is drawn for; never fewer than one of a row of blocks."""
    count = min(pattern.size("blocks"), -(-key.most // BLOCK))
    if count > _DRAWN:
        raise MmspecError(
            Diagnostic(
                "MM620",
                f"{count:,} random blocks are too many to draw",
                help=f"at most {_DRAWN:,} are drawn for a picture",
            )
        )
    return max((int(rows[-1]) - int(rows[0])) // BLOCK * count // _DRAWN, 1)


def _sides(found: Shades, cuts: tuple[Ints, Ints]) -> tuple[int, int] | None:
    """How many queries and keys of each block that is not known stand for it; None: all do."""
    unknown = found == _UNKNOWN
    tall, wide = (np.diff(cut) for cut in cuts)
    pairs = int(tall @ unknown @ wide)
    if pairs <= _MOST:
        return None
    side = max(isqrt(_MOST // int(np.count_nonzero(unknown))), 2)
    return min(side, int(tall.max())), min(side, int(wide.max()))


def _look(found: Shades, mask: Mask, sides: tuple[Side, Side], cuts: tuple[Ints, Ints]) -> None:
    """Decide what is not yet known, row by row of blocks."""
    taken = _sides(found, cuts)
    rows, columns = cuts
    unknown = np.flatnonzero((found == _UNKNOWN).any(axis=1))
    if taken:
        draws_each = sum(pattern.size("blocks") for pattern in drawn(mask))
        most = max(_DRAWN // max(draws_each * len(unknown), 1), 2)
        taken = min(taken[0], most), taken[1]
    for row in unknown:
        places = np.flatnonzero(found[row] == _UNKNOWN)
        q = _tokens(rows[row : row + 2], taken and taken[0])
        wide = taken[1] if taken else int(np.diff(columns).max())
        pairs = len(q) * wide * len(places)
        for part in np.array_split(places, min(-(-pairs // _CHUNK), len(places))):
            keys = [_tokens(columns[place : place + 2], taken and taken[1]) for place in part]
            table = np.broadcast_to(
                seen_at(mask, sides, q[:, None], np.concatenate(keys)[None]),
                (len(q), sum(map(len, keys))),
            )
            at = np.cumsum([0, *map(len, keys)])[:-1]
            some = np.logical_or.reduceat(table.any(axis=0), at)
            found[row, part] = _coded(some, np.logical_and.reduceat(table.all(axis=0), at))


def _tokens(ends: Ints, number: int | None) -> Ints:
    """Those of a block, or so many of them at even distances, both ends included."""
    first, stop = ends.tolist()
    if number is None or stop - first <= number:
        return np.arange(first, stop)
    return np.asarray(first + np.arange(number) * (stop - 1 - first) // (number - 1))
