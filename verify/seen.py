"""Who sees whom at given lengths: docs/masks.md as tables of numpy, without integer sets.

seen(mask, query, key) -> bool [queries, keys]; a part of it where a `Side` is a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import floor, lcm, prod
from operator import and_, invert, or_
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry
from mmspec.expressions.mask import NONE, Mask, Pattern, fold
from mmspec.expressions.mask_patterns import Rule

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

BLOCK: Final = 64
"""Tokens of a block of the random pattern."""

_WORD: Final = 2**64 - 1
_ROUNDS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))

_FEW: Final = 16
"""Blocks of queries that are drawn for one by one."""

_MANY: Final = 64
"""Blocks of keys that are not drawn one by one."""

_TABLE: Final = 2**20
"""Blocks that are drawn at a time."""


@dataclass(frozen=True, slots=True)
class Side:
    """Tokens `start` to `stop` of a segment, which may hold `most`."""

    geometry: Geometry
    start: int
    stop: int
    most: int

    def part(self, start: int, stop: int) -> Side:
        """Those of its tokens that are there."""
        return replace(self, start=max(start, self.start), stop=min(stop, self.stop))

    @property
    def lengths(self) -> dict[str, int]:
        """By the symbols of its geometry, of which there is at most one."""
        sizes = [axis.size for axis in self.geometry.axes]
        area = prod(size for size in sizes if isinstance(size, int))
        return {size: self.stop // area for size in sizes if isinstance(size, str)}

    @property
    def index(self) -> Ints:
        """Of each token among all of its segment."""
        return np.arange(self.start, max(self.start, self.stop))

    def coordinates(self, index: Ints) -> dict[str, Ints]:
        """Of tokens, by the name of the axis."""
        strides = self.geometry.strides()
        assert strides is not None, self.geometry
        found, rest = {}, index
        for axis, stride in zip(self.geometry.axes, strides, strict=True):
            found[axis.name], rest = rest // stride, rest % stride
        return found


def side(segment: ir.Segment, lengths: Mapping[str, int]) -> Side:
    """All tokens of a segment; lengths by modality (0: absent), the longest where not named."""
    most = segment.tokens.max
    return Side(segment.geometry, 0, segment.count(lengths), most)


def seen(mask: Mask, query: Side, key: Side) -> Bools:
    """Who sees whom, rows are queries; a sample is one document."""
    shape = len(query.index), len(key.index)
    found = seen_at(mask, (query, key), query.index[:, None], key.index[None, :])
    return np.broadcast_to(found, shape)


def seen_at(mask: Mask, sides: tuple[Side, Side], q: Ints, k: Ints) -> Bools:
    """Who sees whom of these tokens of two segments, which are broadcast against each other."""

    def of_pattern(pattern: Pattern) -> Bools:
        by = pattern.facts.by
        if by == "order":
            return in_order(pattern, q, k)
        if by == "grid":
            return _in_space(pattern, sides[0].coordinates(q), sides[1].coordinates(k))
        if by == "clock":
            return _in_time(pattern, sides, q, k)
        if by == "draws":
            return _by_chance(pattern, sides[1], q, k)
        return np.full((1,) * q.ndim, pattern != NONE)

    return fold(mask, of_pattern, invert, and_, or_)


def in_order(pattern: Pattern, q: Ints, k: Ints) -> Bools:
    """Patterns of two indices."""
    if pattern.first is not None:
        queries, keys = pattern.first
        found: Bools = (q < queries) | (k < keys)
        return found
    return _kept(pattern.along(), q, k)


def _in_space(pattern: Pattern, ours: dict[str, Ints], theirs: dict[str, Ints]) -> Bools:
    """Patterns of rows, columns and frames; a shifted window also on a line."""
    both = {name: (ours[name], theirs[name]) for name in ours if name in theirs}
    found = np.ones((1, 1), dtype=np.bool_)
    for name, (q, k) in both.items():
        found = found & _kept(pattern.along(name), q, k)
    return found


def _kept(rule: Rule, q: Ints, k: Ints) -> Bools:
    """Whether coordinates along an axis keep its rule."""
    found = np.ones((1,) * np.ndim(q), dtype=np.bool_)
    if rule.before is not None:
        found = found & (q - k <= rule.before)
    if rule.after is not None:
        found = found & (k - q <= rule.after)
    if rule.step is not None:
        found = found & ((q - k) % rule.step == 0)
    if rule.size is not None:
        found = found & ((q - rule.begin) // rule.size == (k - rule.begin) // rule.size)
    return found


def _in_time(pattern: Pattern, sides: tuple[Side, Side], q: Ints, k: Ints) -> Bools:
    """Of first coordinates, which clocks count."""
    times = Times.of(pattern, *sides)
    ticks, others = (
        times.exact(next(iter(side.coordinates(x).values())))
        for side, x in zip(sides, (q, k), strict=True)
    )
    apart = times.apart + times.slow * ticks - times.fast * others
    return np.asarray(abs(apart) <= times.most, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Times:
    """`within` in whole numbers of a unit that both clocks share, whatever the duration is.

    Query i is at apart + slow * i, key j at fast * j; they are at most `most` from each other.
    """

    most: int
    apart: int
    slow: int
    fast: int
    span: int
    """No two tokens are further from each other."""

    @staticmethod
    def of(pattern: Pattern, query: Side, key: Side) -> Times:
        """Of a pattern between two segments; clocks are in milliseconds."""
        duration, clocks = pattern.get("duration"), (_clock(query), _clock(key))
        assert isinstance(duration, int | Fraction)
        known = [clocks[0].offset - clocks[1].offset, *(clock.period for clock in clocks)]
        unit = lcm(*(number.denominator for number in known))
        apart, slow, fast = (int(number * unit) for number in known)
        span = abs(apart) + slow * max(query.most, query.stop) + fast * max(key.most, key.stop)
        return Times(min(floor(duration * 1000 * unit), span), apart, slow, fast, span)

    def exact(self, ticks: Ints) -> Ints:
        """The same numbers, as Python's where their times do not fit 64 bits."""
        return ticks if 2 * self.span < 2**63 else ticks.astype(object)


def _clock(place: Side) -> Clock:
    assert place.geometry.clock is not None, place
    return place.geometry.clock


def _by_chance(pattern: Pattern, key: Side, q: Ints, k: Ints) -> Bools:
    """Blocks that are drawn, looked up by the numbers of both blocks."""
    blocks = -(-key.most // BLOCK)
    (places, rows), (others, columns) = (np.unique(x // BLOCK, return_inverse=True) for x in (q, k))
    known = np.arange(len(places))[:, None] * blocks + draws(pattern, places, blocks)
    known = np.sort(known, axis=None)
    asked = np.arange(len(places))[:, None] * blocks + others
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    found: Bools = (known[at] == asked)[rows.reshape(q.shape), columns.reshape(k.shape)]
    return found


def draws(pattern: Pattern, places: Ints, blocks: int) -> Ints:
    """The blocks of keys, of so many, that each of some blocks of queries sees, in any order."""
    count = min(pattern.size("blocks"), blocks)
    if len(places) < _FEW and count < _MANY:
        found = [sorted(drawn(pattern, int(place), blocks)) for place in places]
        return np.array(found, np.int64).reshape(len(places), count)
    if count == blocks:
        return np.broadcast_to(np.arange(blocks), (len(places), blocks))
    parts = [
        _drawn_at_once(pattern, part, blocks)
        for part in np.array_split(places, -(-len(places) * count // _TABLE))
    ]
    return np.concatenate(parts)


def _drawn_at_once(pattern: Pattern, places: Ints, blocks: int) -> Ints:
    """Floyd's way, of all places at once where no block is drawn twice."""
    count = pattern.size("blocks")
    start = np.uint64(_mixed(pattern.size("seed")))
    state = _mixed_all(start ^ places.astype(np.uint64))[:, None]
    tops = np.arange(blocks - count, blocks)
    picks = _mixed_all(state ^ np.arange(count, dtype=np.uint64)) % (tops + 1).astype(np.uint64)
    found = picks.astype(np.int64)
    known = np.sort(found, axis=1)
    for row in np.flatnonzero((known[:, 1:] == known[:, :-1]).any(axis=1)).tolist():
        taken: set[int] = set()
        for top, pick in zip(tops.tolist(), found[row].tolist(), strict=True):
            taken.add(top if pick in taken else pick)
        found[row] = np.fromiter(taken, np.int64, count)
    return found


def _mixed_all(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """`_mixed` of many; products wrap."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in _ROUNDS:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state


@lru_cache(maxsize=4096)
def drawn(pattern: Pattern, place: int, blocks: int) -> frozenset[int]:
    """The blocks of keys, of so many, that a block of queries sees."""
    count = pattern.size("blocks")
    taken: set[int] = set()
    for draw in range(min(count, blocks)):
        top = max(blocks - count, 0) + draw
        pick = _mixed(_mixed(_mixed(pattern.size("seed")) ^ place) ^ draw) % (top + 1)
        taken.add(pick if pick not in taken else top)
    return frozenset(taken)


def _mixed(state: int) -> int:
    """SplitMix64's output at a state."""
    state = (state + 0x9E3779B97F4A7C15) & _WORD
    for shift, factor in _ROUNDS:
        state = ((state ^ (state >> shift)) * factor) & _WORD
    return state
