"""How many tiles loops visit, without going through the tiles of queries one by one.

Loops are evaluated for many tiles of queries at once: for runs of tiles that are a period apart,
along which every number in the loops grows evenly. A run along which one does not (a least or a
greatest is of another part, a quotient jumps) is cut in two. So the time grows with the parts that
a mask has and with what it repeats by, not with the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import gcd, lcm, prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmspec.compiler.relations.loops.loops import Block, If, Loop, Run
from mmspec.compiler.relations.loops.schedule import Schedule
from mmspec.compiler.relations.loops.tiles import linear_tiles
from mmspec.compiler.relations.meaning.geometry import Lengths
from mmspec.compiler.relations.syntax import Expression, Operation

__all__ = ["MOST", "TooManyRunsError", "visited"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST: Final = 2**20
"""Evaluations of loops for one answer: a second or so."""

_CHUNK: Final = 2**15
"""Runs that are evaluated at a time."""

_TURN: Final = 512
"""Evaluations that take as long as one turn of a loop itself."""

_RATES: Final = 16
"""Ways in which a number may grow that are told apart."""


class TooManyRunsError(Exception):
    """A mask repeats so late, and jumps so often, that its tiles cannot be counted soon."""


def visited(schedule: Schedule, lengths: Lengths, most: int = MOST) -> tuple[int, int]:
    """Tiles that the loops visit, and those of them that are whole. Raises TooManyRunsError."""
    names = schedule.relation.tile_names[0]
    counts = linear_tiles(schedule.relation.query, schedule.query_tile, lengths)
    sizes = {name: int(lengths[name]) for name in schedule.relation.symbols}
    if not prod(counts):
        return 0, 0
    along = counts.index(max(counts))
    others = prod(counts) // counts[along]
    if others > most:
        raise TooManyRunsError(f"{others} rows of tiles")
    period = _period(schedule.body, names[along], max(most // (2 * others), 1))
    work = _Work(schedule.body, names[along], min(period, counts[along]), sizes, most)
    rest = [range(count) for place, count in enumerate(counts) if place != along]
    where = np.array([*product(*rest)], np.int64).reshape(others, len(rest)).T
    other_names = [name for name in names if name != names[along]]
    first, grid = (
        axes.ravel()
        for axes in np.meshgrid(np.arange(work.period), np.arange(others), indexing="ij")
    )
    known = {name: where[at][grid] for at, name in enumerate(other_names)}
    return work.total(known, first, (counts[along] - 1 - first) // work.period)


@dataclass
class _Work:
    """Loops, and how their runs of tiles of queries are taken."""

    body: Block
    along: str
    """The index that moves along a run, by the period."""
    period: int
    sizes: Mapping[str, int]
    most: int
    done: int = 0

    def total(self, known: Mapping[str, Ints], first: Ints, steps: Ints) -> tuple[int, int]:
        """Over runs: the other indices of each, its first tile, and its steps to the last one."""
        touched = inside = 0
        runs = np.stack([*known.values(), first, steps])
        while runs.size:
            uneven = []
            for start in range(0, runs.shape[1], _CHUNK):
                part = runs[:, start : start + _CHUNK]
                found = self._evaluated(dict(zip(known, part, strict=False)), *part[-2:])
                fine = ~found.uneven
                touched += int(found.touched[fine].sum())
                inside += int(found.inside[fine].sum())
                uneven.append(part[:, found.uneven])
            runs = self._halves(np.concatenate(uneven, axis=1))
        return touched, inside

    def _evaluated(self, known: Mapping[str, Ints], first: Ints, steps: Ints) -> _Runs:
        self.spend(len(first))
        values: dict[str, _Value] = {name: (np.int64(x), 0) for name, x in self.sizes.items()}
        values |= {name: (x, 0) for name, x in known.items()}
        values[self.along] = first, np.int64(self.period)
        found = _Runs(self, steps)
        found.count(self.body, values, np.ones(len(first), np.bool_))
        return found

    def _halves(self, runs: Ints) -> Ints:
        """Each run as two."""
        one, two = runs.copy(), runs.copy()
        one[-1] = runs[-1] // 2
        two[-2] += (one[-1] + 1) * self.period
        two[-1] -= one[-1] + 1
        return np.concatenate([one, two], axis=1)

    def spend(self, evaluations: int) -> None:
        """Count what has been done. Raises TooManyRunsError."""
        self.done += evaluations
        if self.done > self.most:
            raise TooManyRunsError(f"{self.done} evaluations")


_Value = tuple[Any, Any]
"""Of each run: a number at its first tile, and how much it grows from one tile to the next."""


@dataclass
class _Runs:
    """Loops at many runs at once; what is uneven along a run is told, and wrong."""

    work: _Work
    steps: Ints
    touched: Ints = field(init=False)
    inside: Ints = field(init=False)
    uneven: Bools = field(init=False)

    def __post_init__(self) -> None:
        self.touched, self.inside = np.zeros_like(self.steps), np.zeros_like(self.steps)
        self.uneven = np.zeros(len(self.steps), np.bool_)

    def count(self, block: Block, values: dict[str, _Value], active: Bools) -> None:
        """Add the tiles of a block, where it is gone through at all."""
        for node in block:
            if isinstance(node, If):
                holds = self._holds(node.condition, values, active)
                self.count(node.body, values, active & holds)
                if node.otherwise:
                    self.count(node.otherwise, values, active & ~holds)
            elif isinstance(node, Run):
                self._run(node, values, active)
            else:
                self._loop(node, values, active)

    def _run(self, node: Run, values: dict[str, _Value], active: Bools) -> None:
        number, grows = self._times(node, values, active)
        every = self.steps + 1
        tiles = number * every + grows * (every * self.steps // 2)
        tiles = np.where(
            active & (number + grows * self.steps > 0) | (number > 0) & active, tiles, 0
        )
        self.touched += tiles
        if node.whole:
            self.inside += tiles

    def _times(self, node: Run | Loop, values: dict[str, _Value], active: Bools) -> _Value:
        """How often a loop is gone through; 0 or less: not at all."""
        start, stop = (self._value(end, values, active) for end in (node.start, node.stop))
        number = stop[0] - start[0], stop[1] - start[1]
        if node.step != 1:
            number = self._quotient((number[0] + node.step - 1, number[1]), (node.step, 0), active)
        last = number[0] + number[1] * self.steps
        self._note((number[0] < 0) & (last > 0) | (number[0] > 0) & (last < 0), active)
        return number

    def _loop(self, node: Loop, values: dict[str, _Value], active: Bools) -> None:
        start = self._value(node.start, values, active)
        number, grows = self._times(node, values, active)
        self._note(
            np.broadcast_to((grows != 0) & (number + grows * self.steps > 0), active.shape), active
        )
        number = np.broadcast_to(np.where(active & ~self.uneven, number, 0), active.shape)
        for turn in range(max(int(number.max(initial=0)), 0)):
            within = active & (number > turn)
            self.work.spend(_TURN + len(within) // 4)
            at = start[0] + turn * node.step, start[1]
            self.count(node.body, values | {node.variable: at}, within)

    def _note(self, uneven: Any, active: Bools) -> None:
        self.uneven |= active & uneven & (self.steps > 0)

    def _value(self, of: Expression, values: dict[str, _Value], active: Bools) -> _Value:
        if isinstance(of, int):
            return np.int64(of), 0
        if isinstance(of, str):
            return values[of]
        if of.name == "if":
            holds = self._holds(of.of[0], values, active)
            yes, no = (self._value(part, values, active) for part in of.of[1:])
            return np.where(holds, yes[0], no[0]), np.where(holds, yes[1], no[1])
        parts = [self._value(part, values, active) for part in of.of]
        if of.name in ("min", "max"):
            found = parts[0]
            for part in parts[1:]:
                found = self._extreme(of.name, found, part, active)
            return found
        if of.name == "negative":
            return -parts[0][0], -parts[0][1]
        one, two = parts
        if of.name in ("+", "-"):
            sign = 1 if of.name == "+" else -1
            return one[0] + sign * two[0], one[1] + sign * two[1]
        if of.name == "*":
            self._note(np.broadcast_to((one[1] != 0) & (two[1] != 0), active.shape), active)
            return one[0] * two[0], one[0] * two[1] + one[1] * two[0]
        if of.name in ("floor", "//"):
            return self._quotient(one, two, active)
        assert of.name in ("%", "divides"), of
        quotient = self._quotient(one, two, active)
        return one[0] - quotient[0] * two[0], one[1] - quotient[1] * two[0]

    def _quotient(self, value: _Value, divisor: _Value, active: Bools) -> _Value:
        """Rounded down: even where the divisor divides the growth, or where it never jumps."""
        (at, grows), by = value, divisor[0]
        even = grows % by == 0
        same = at // by == (at + grows * self.steps) // by
        self._note(~even & ~same, active)
        return at // by, np.where(even, grows // by, 0)

    def _extreme(self, name: str, one: _Value, two: _Value, active: Bools) -> _Value:
        """The least or greatest, if the same part is it from the first tile to the last."""
        less = (one[0] - two[0]) * (1 if name == "min" else -1)
        last = less + (one[1] - two[1]) * (1 if name == "min" else -1) * self.steps
        self._note((less < 0) & (last > 0) | (less > 0) & (last < 0), active)
        first = (less < 0) | (less == 0) & (last <= 0)
        return np.where(first, one[0], two[0]), np.where(first, one[1], two[1])

    def _holds(self, of: Expression, values: dict[str, _Value], active: Bools) -> Bools:
        """Whether a condition holds, the same along the run."""
        assert isinstance(of, Operation), of
        if of.name in ("and", "or"):
            sides = [self._holds(part, values, active) for part in of.of]
            return sides[0] & sides[1] if of.name == "and" else sides[0] | sides[1]
        one, two = (self._value(part, values, active) for part in of.of)
        first = one[0] - two[0] + np.zeros_like(self.steps)
        last = first + (one[1] - two[1]) * self.steps
        if of.name == "==":
            self._note(
                (first == 0) ^ (last == 0) | (first < 0) & (last > 0) | (first > 0) & (last < 0),
                active,
            )
            return np.asarray(first == 0, np.bool_)
        test = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[of.name]
        self._note(test(first, 0) ^ test(last, 0), active)
        return np.asarray(test(first, 0), np.bool_)


def _period(block: Block, along: str, most: int) -> int:
    """After how many tiles all that is divided has moved on by whole quotients, or most of it."""
    found: set[int] = set()
    _block_periods(block, {along: frozenset({Fraction(1)})}, found)
    period = 1
    for one in sorted(found):
        if lcm(period, one) <= most:
            period = lcm(period, one)
    return period


_Rates = frozenset[Fraction]
"""How fast a number may grow on average, from tile to tile."""


def _block_periods(block: Block, rates: dict[str, _Rates], found: set[int]) -> None:
    for node in block:
        if isinstance(node, If):
            _rates(node.condition, rates, found)
            _block_periods(node.body, rates, found)
            _block_periods(node.otherwise, rates, found)
            continue
        start, stop = (_rates(end, rates, found) for end in (node.start, node.stop))
        if node.step != 1:
            _divided(frozenset(b - a for a in start for b in stop), node.step, found)
        if isinstance(node, Loop):
            _block_periods(node.body, rates | {node.variable: start}, found)


def _rates(of: Expression, rates: dict[str, _Rates], found: set[int]) -> _Rates:
    """Of an expression; what it divides by is noted."""
    if isinstance(of, int | str):
        return (
            rates.get(of, frozenset({Fraction(0)}))
            if isinstance(of, str)
            else frozenset({Fraction(0)})
        )
    parts = [_rates(part, rates, found) for part in of.of]
    if of.name in ("min", "max", "if"):
        joined = frozenset().union(*parts[of.name == "if" :])
    elif of.name in ("floor", "//", "%", "divides"):
        divisor = of.of[1]
        assert isinstance(divisor, int), of
        joined = _divided(parts[0], divisor, found)
        joined = joined if of.name in ("floor", "//") else frozenset({Fraction(0)})
    elif of.name == "negative":
        joined = frozenset(-rate for rate in parts[0])
    elif of.name in ("+", "-"):
        sign = 1 if of.name == "+" else -1
        joined = frozenset(a + sign * b for a in parts[0] for b in parts[1])
    elif of.name == "*":
        known = [part if isinstance(part, int) else 1 for part in of.of]
        joined = frozenset((a * known[1] + b * known[0]) for a in parts[0] for b in parts[1])
    else:
        joined = frozenset({Fraction(0)})
    return frozenset(sorted(joined)[:_RATES])


def _divided(of: _Rates, divisor: int, found: set[int]) -> _Rates:
    """The quotients' rates; noted is after how many tiles they move on by a whole number."""
    for rate in of:
        whole = rate.numerator
        if whole:
            found.add(rate.denominator * divisor // gcd(whole, divisor))
    return frozenset(rate / divisor for rate in of)
