"""Who sees whom at given lengths: docs/masks.md as tables of numpy, without integer sets.

seen(mask, query, key) -> bool [queries, keys]; a part of it where a `Side` is a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import floor, lcm, prod
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.compiler import ir
from mmspec.compiler.relations.geometry import Clock, Geometry
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

BLOCK: Final = 64
"""Tokens of a block of the random pattern."""

_WORD: Final = 2**64 - 1


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

    def coordinates(self) -> dict[str, Ints]:
        """Of each token, by the name of the axis."""
        strides = self.geometry.strides()
        assert strides is not None, self.geometry
        found, rest = {}, self.index
        for axis, stride in zip(self.geometry.axes, strides, strict=True):
            found[axis.name], rest = rest // stride, rest % stride
        return found

    def first(self) -> Ints:
        """The first coordinate of each token, which its clock counts."""
        return self.coordinates()[self.geometry.axes[0].name]


def side(segment: ir.Segment, lengths: Mapping[str, int]) -> Side:
    """All tokens of a segment; lengths by modality (0: absent), the longest where not named."""
    most = segment.tokens.max
    return Side(segment.geometry, 0, lengths.get(segment.modality or "", most), most)


def seen(mask: Mask, query: Side, key: Side) -> Bools:
    """Who sees whom, rows are queries; a sample is one document."""
    shape = len(query.index), len(key.index)
    return np.broadcast_to(_seen(mask, query, key), shape)


def _seen(mask: Mask, query: Side, key: Side) -> Bools:
    if isinstance(mask, And):
        return _seen(mask.left, query, key) & _seen(mask.right, query, key)
    if isinstance(mask, Or):
        return _seen(mask.left, query, key) | _seen(mask.right, query, key)
    if isinstance(mask, Not):
        return ~_seen(mask.operand, query, key)
    if mask.name in ("full", "none", "document"):
        return np.full((1, 1), mask.name != "none")
    if mask.name in ("window2d", "window3d", "axial", "frame", "shifted_window"):
        return _in_space(mask, query, key)
    if mask.name == "within":
        return _in_time(mask, query, key)
    if mask.name == "random":
        return _by_chance(mask, query, key)
    return in_order(mask, query.index[:, None], key.index[None, :])


def in_order(pattern: Pattern, q: Ints, k: Ints) -> Bools:
    """Patterns of two indices."""
    name, size = pattern.name, pattern.size
    found: Bools
    if name == "causal":
        found = k <= q
    elif name == "window":
        found = (k - q <= size("after")) & (q - k <= size("before"))
    elif name == "dilated":
        found = (abs(q - k) <= size("reach")) & ((q - k) % size("step") == 0)
    elif name == "strided":
        found = (q - k) % size("step") == 0
    elif name == "block":
        found = q // size("size") == k // size("size")
    elif name == "prefix":
        found = k < size("length")
    else:
        assert name == "global", name
        found = (q < size("count")) | (k < size("count"))
    return found


def _in_space(pattern: Pattern, query: Side, key: Side) -> Bools:
    """Patterns of rows, columns and frames; a shifted window also on a line."""
    ours, theirs = query.coordinates(), key.coordinates()
    both = {name: (ours[name][:, None], theirs[name][None, :]) for name in ours if name in theirs}
    found = np.ones((1, 1), dtype=np.bool_)
    for name, (q, k) in both.items():
        if pattern.name == "axial":
            near = np.ones((1, 1), dtype=np.bool_) if name == pattern.get("axis") else q == k
        elif pattern.name == "frame":
            near = q == k if name == "frame" else np.ones((1, 1), dtype=np.bool_)
        elif name == "frame" and pattern.name != "window3d":
            near = q == k
        elif pattern.name == "shifted_window":
            size, shift = pattern.size("size"), pattern.size("shift")
            near = (q - shift) // size == (k - shift) // size
        else:
            near = abs(q - k) <= pattern.size("radius")
        found = found & near
    return found


def _in_time(pattern: Pattern, query: Side, key: Side) -> Bools:
    times = Times.of(pattern, query, key)
    q, k = times.exact(query.first()), times.exact(key.first())
    apart = times.apart + times.slow * q[:, None] - times.fast * k[None, :]
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


def _by_chance(pattern: Pattern, query: Side, key: Side) -> Bools:
    """Blocks that are drawn: a row of blocks for each block of queries, repeated."""
    blocks = -(-key.most // BLOCK)
    columns = key.index // BLOCK
    found = np.zeros((len(query.index), len(columns)), dtype=np.bool_)
    for place in range(query.start // BLOCK, -(-query.stop // BLOCK)):
        rows = slice(max(place * BLOCK - query.start, 0), max((place + 1) * BLOCK - query.start, 0))
        found[rows] = _drawn_row(pattern, place, blocks)[columns]
    return found


@lru_cache(maxsize=64)
def _drawn_row(pattern: Pattern, place: int, blocks: int) -> Bools:
    """Whether a block of queries sees each block of keys."""
    row = np.zeros(blocks, dtype=np.bool_)
    row[list(drawn(pattern, place, blocks))] = True
    return row


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
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        state = ((state ^ (state >> shift)) * factor) & _WORD
    return state
