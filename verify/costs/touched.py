"""Tiles of lines with a visible pair, without going through the tiles of queries one by one.

What a tile of queries sees is a few intervals of keys, whose ends follow from where the tile
begins: blocks have ends of their own, and windows move on with it. Runs of tiles that are a period
apart are looked at by their first and last one. Where all that is compared comes out the same at
both, the number of tiles grows evenly between them; otherwise the run is cut in two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from math import gcd, lcm
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.compiler.relations.meaning.terms import put
from mmspec.expressions.mask import FULL, NONE, Mask, patterns
from mmspec.verify.costs.cuts import Ints
from mmspec.verify.costs.lines import first_tokens, is_counted, settled
from mmspec.verify.distances import Ends, Part, parts

__all__ = ["touched"]

_MOST: Final = 2**22
"""Ends of intervals that are looked at: half a second or so."""

_PIECES: Final = 64
"""Intervals that a tile of queries may see."""

_LONGEST: Final = 2**18
"""Tiles of queries in a period."""

_CHUNK: Final = 2**14

Bools = npt.NDArray[np.bool_]

Place = tuple[int, int, int]
"""The end of a block: its size, where one begins, and how many blocks after the tile's first."""


class _TooManyError(Exception):
    """Not counted here."""


@dataclass(frozen=True, slots=True)
class _Interval:
    """Keys that some queries of a tile see: those of them between ends, at some distances."""

    queries: Ends
    keys: Ends
    distances: Ends = (0, 0)
    after: tuple[Place, ...] = ()
    """Ends of blocks that queries are not before, and those that they are before."""
    before: tuple[Place, ...] = ()
    keys_after: tuple[Place, ...] = ()
    keys_before: tuple[Place, ...] = ()


@lru_cache(maxsize=4096)
def touched(mask: Mask, tokens: tuple[int, int], tile: tuple[int, int]) -> int | None:
    """Of so many queries and keys, in tiles of so many; None where it is not told here."""
    if not is_counted(mask):
        return None
    try:
        intervals = tuple(_intervals(mask, tokens, tile[0]))
        return _Count(intervals, tokens, tile).total() if intervals else 0
    except (_TooManyError, OverflowError):
        return None


def _intervals(mask: Mask, tokens: tuple[int, int], tall: int) -> Iterator[_Interval]:
    rows, columns = (pairwise(first_tokens(mask, tokens, place)) for place in (0, 1))
    keys = list(columns)
    found = 0
    for q in rows:
        for k in keys:
            within = _split(settled(mask, q, k), _Interval(q, k), tall)
            for shown, interval in within:
                for one in _spans(parts(shown, 1 - tokens[1], tokens[0])):
                    found += 1
                    if found > _PIECES:
                        raise _TooManyError
                    yield replace(interval, distances=one)


def _split(mask: Mask, interval: _Interval, tall: int) -> Iterator[tuple[Mask, _Interval]]:
    """By blocks: in each that a tile has part in queries see what is in it, before and after."""
    block = next((p for p in patterns(mask) if p.along().size is not None), None)
    if block is None:
        yield mask, interval
        return
    size, begin = block.along().size or 1, block.along().begin
    whole = size % tall == 0 and begin % tall == 0
    inside, outside = put(mask, block, FULL), put(mask, block, NONE)
    if inside == outside:
        yield from _split(inside, interval, tall)
        return
    if tall // size > _PIECES:
        raise _TooManyError
    for piece in range(1 if whole else (tall - 2) // size + 2):
        start, stop = (size, begin, piece), (size, begin, piece + 1)
        part = replace(interval, after=(*interval.after, start), before=(*interval.before, stop))
        ends = part.keys_after, part.keys_before
        for shown, after, before in (
            (inside, (*ends[0], start), (*ends[1], stop)),
            (outside, ends[0], (*ends[1], start)),
            (outside, (*ends[0], stop), ends[1]),
        ):
            if shown != NONE:
                yield from _split(shown, replace(part, keys_after=after, keys_before=before), tall)


def _spans(shown: tuple[Part, ...]) -> list[Ends]:
    """The distances that are shown, from end to end."""
    found: list[Ends] = []
    for start, stop, terms in shown:
        if not terms:
            continue
        if [*terms.items()] != [((1, frozenset()), 1)]:
            raise _TooManyError
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, stop))
    return found


@dataclass
class _Count:
    """Counts the tiles in the intervals of each tile of queries."""

    intervals: tuple[_Interval, ...]
    tokens: tuple[int, int]
    tile: tuple[int, int]
    period: int = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        """The tiles of keys begin anew after a period, and those blocks that do so soon."""
        tall, wide = self.tile
        self.period = wide // gcd(wide, tall)
        for size in sorted({place[0] for one in self.intervals for place in one.after}):
            period = lcm(self.period, size // gcd(size, tall))
            self.period = period if period <= _LONGEST else self.period

    def total(self) -> int:
        """Over all tiles of queries. Raises _TooManyError."""
        rows = -(-self.tokens[0] // self.tile[0])
        first = np.arange(min(self.period, rows))
        runs = np.stack([first, (rows - 1 - first) // self.period])
        found = 0
        while runs.size:
            uneven = []
            for start in range(0, runs.shape[1], _CHUNK):
                part = runs[:, start : start + _CHUNK]
                self._spend(part.shape[1])
                ends, rough = _Runs(self, *part).tiles()
                each = ends.sum(axis=0) * (part[1] + 1)
                found += int((each[~rough] // 2).sum())
                uneven.append(part[:, rough])
            runs = self._halves(np.concatenate(uneven, axis=1))
        return found

    def _spend(self, runs: int) -> None:
        self.done += runs * len(self.intervals)
        if self.done > _MOST:
            raise _TooManyError

    def _halves(self, runs: Ints) -> Ints:
        one, two = runs.copy(), runs.copy()
        one[1] = runs[1] // 2
        two[0] += (one[1] + 1) * self.period
        two[1] -= one[1] + 1
        return np.concatenate([one, two], axis=1)


class _Runs:
    """Runs of tiles of queries, by the first and the last of each: arrays [2, runs]."""

    def __init__(self, of: _Count, first: Ints, steps: Ints) -> None:
        self.of = of
        self.top = np.stack([first, first + steps * of.period]) * of.tile[0]
        self.uneven = np.zeros(len(first), np.bool_)
        self.known: dict[tuple[int, int], Ints] = {}

    def tiles(self) -> tuple[Ints, Bools]:
        """Tiles of keys in any interval, at both ends of a run; and where they do not grow evenly.

        Intervals in the order in which they start: each adds what lies past all before it.
        """
        found = [self._interval(one) for one in self.of.intervals]
        starts, stops = (np.stack(ends) for ends in zip(*found, strict=True))
        order = np.argsort(starts.sum(axis=1), axis=0, kind="stable")[:, None]
        starts, stops = (np.take_along_axis(ends, order, axis=0) for ends in (starts, stops))
        self.uneven |= (starts[1:] < starts[:-1]).any(axis=(0, 1))
        total, past = np.zeros_like(self.top), np.zeros_like(self.top)
        for start, stop in zip(starts, stops, strict=True):
            start = self._most(start, past)
            total += self._most(stop - start, np.zeros_like(start))
            past = self._most(past, stop)
        return total, self.uneven

    def _interval(self, one: _Interval) -> tuple[Ints, Ints]:
        """The first tile of an interval, and the one after the last; the same where it is empty."""
        (tall, wide), (queries, keys) = self.of.tile, self.of.tokens
        first = self._most(self.top, one.queries[0])
        last = self._least(self.top + tall, one.queries[1])
        start, stop = (np.full_like(self.top, end) for end in one.keys)
        for place in one.after:
            first = self._most(first, self._end(place))
        for place in one.before:
            last = self._least(last, self._end(place))
        for place in one.keys_after:
            start = self._most(start, self._end(place))
        for place in one.keys_before:
            stop = self._least(stop, self._end(place))
        if one.distances[1] < queries:
            start = self._most(start, first - one.distances[1] + 1)
        if one.distances[0] > 1 - keys:
            stop = self._least(stop, last - one.distances[0])
        there = self._holds(last - first) & self._holds(stop - start)
        tiles = start // wide, -(-stop // wide)
        return tiles[0], np.where(there, tiles[1], tiles[0])

    def _end(self, place: Place) -> Ints:
        size, begin, piece = place
        if (size, begin) not in self.known:
            number = (self.top - begin) // size
            if self.of.period * self.of.tile[0] % size:
                self.uneven |= number[0] != number[1]
            self.known[size, begin] = number * size + begin
        return self.known[size, begin] + piece * size

    def _holds(self, value: Ints) -> Bools:
        found = value > 0
        self.uneven |= found[0] != found[1]
        return np.asarray(found, np.bool_)

    def _most(self, one: Ints, other: Ints | int) -> Ints:
        self._compare(one - other)
        return np.asarray(np.maximum(one, other), np.int64)

    def _least(self, one: Ints, other: Ints | int) -> Ints:
        self._compare(one - other)
        return np.asarray(np.minimum(one, other), np.int64)

    def _compare(self, apart: Ints) -> None:
        """What is greater at one end of a run, and less at the other, is not even."""
        self.uneven |= (apart[0] < 0) & (apart[1] > 0) | (apart[0] > 0) & (apart[1] < 0)
