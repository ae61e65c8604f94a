"""What each pattern of the mask language means between two segments: docs/masks.md as formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Final

from mmspec.compiler.relations.meaning.formula import (
    ALWAYS,
    NEVER,
    AtMost,
    Divides,
    Equal,
    Formula,
    Linear,
    Together,
    both,
    either,
    linear,
    negate,
)
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import (
    FULL,
    NONE,
    Mask,
    Pattern,
    complement,
    fold,
    meet,
    patterns,
    union,
)

__all__ = ["MeaninglessError", "Pair", "is_closed", "meaning", "widest"]

_MILLISECONDS: Final = 1000
"""In one second, the unit of durations in masks; clocks count milliseconds."""


class MeaninglessError(ValueError):
    """The pattern has no formula between these segments, and the message says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The segments of query and key."""

    query: Geometry
    key: Geometry

    def both(self, name: str) -> tuple[Linear, Linear]:
        """The coordinate of that name of query and key."""
        return _coordinate(self.query, "q", name), _coordinate(self.key, "k", name)

    def flat(self) -> tuple[Linear, Linear]:
        """The index of query and key among all tokens of their segments."""
        return _flat(self.query, "q"), _flat(self.key, "k")

    def close(self, name: str, reach: int) -> Formula:
        """At most so far apart in one coordinate."""
        q, k = self.both(name)
        return _between(q, k, reach, reach)

    def same(self, name: str) -> Formula:
        """Equal in one coordinate."""
        return self.close(name, 0)

    def shared(self) -> tuple[str, ...]:
        """The coordinates that both have, by name."""
        names = tuple(axis.name for axis in self.query.axes if axis.name != "token")
        return tuple(name for name in names if self.key.place(name) is not None)


def _coordinate(geometry: Geometry, letter: str, name: str) -> Linear:
    place = geometry.place(name)
    if place is None:
        raise MeaninglessError(f"the tokens of a segment here have no {name}")
    return Linear(((geometry.names(letter)[place], 1),))


def _flat(geometry: Geometry, letter: str) -> Linear:
    strides = geometry.strides()
    if strides is None:
        raise MeaninglessError("tokens are not in one order while the length of a row is unknown")
    return linear(zip(geometry.names(letter), strides, strict=True))


def _between(q: Linear, k: Linear, before: int, after: int) -> Formula:
    """-after <= q - k <= before."""
    if before == after == 0:
        return Equal(q, k)
    behind = AtMost(q - k, Linear((), before)) if before else AtMost(q, k)
    ahead = AtMost(k - q, Linear((), after)) if after else AtMost(k, q)
    return both(behind, ahead)


def is_closed(mask: Mask) -> bool:
    """Whether isl can decide it: no pattern is a table."""
    return all(pattern.facts.is_formula for pattern in patterns(mask))


def _is_table(pattern: Pattern) -> bool:
    return not pattern.facts.is_formula


def widest(mask: Mask, is_open: Callable[[Pattern], bool] = _is_table) -> Mask:
    """A mask that shows all that this one may show, whatever its open patterns show: tables."""

    def of_pattern(pattern: Pattern) -> tuple[Mask, Mask]:
        return (NONE, FULL) if is_open(pattern) else (pattern, pattern)

    _, most = fold(
        mask,
        of_pattern,
        lambda operand: (complement(operand[1]), complement(operand[0])),
        lambda one, other: (meet(one[0], other[0]), meet(one[1], other[1])),
        lambda one, other: (union(one[0], other[0]), union(one[1], other[1])),
    )
    return most


def meaning(mask: Mask, query: Geometry, key: Geometry) -> Formula:
    """When a key is visible to a query, both within their segments. Raises MeaninglessError."""
    pair = Pair(query, key)
    return fold(mask, lambda pattern: _meaning(pattern, pair), negate, both, either)


def _meaning(pattern: Pattern, pair: Pair) -> Formula:
    if not pattern.facts.is_formula:
        raise MeaninglessError(f"{pattern.name} is a table")
    return _MEANINGS[pattern.name](pattern, pair)


def _causal(pattern: Pattern, pair: Pair) -> Formula:
    if pair.query.strides() is not None and pair.key.strides() is not None:
        q, k = pair.flat()
        return AtMost(k, q)
    if len(pair.query.axes) != len(pair.key.axes):
        raise MeaninglessError("grids of unknown rows and other segments share no order")
    names = zip(pair.query.names("q"), pair.key.names("k"), strict=True)
    pairs = [(Linear(((q, 1),)), Linear(((k, 1),))) for q, k in names]
    q, k = pairs.pop()
    formula: Formula = AtMost(k, q)
    for q, k in reversed(pairs):
        formula = either(AtMost(k + 1, q), both(AtMost(k, q), formula))
    return formula


def _window(pattern: Pattern, pair: Pair) -> Formula:
    q, k = pair.flat()
    return _between(q, k, pattern.size("before"), pattern.size("after"))


def _dilated(pattern: Pattern, pair: Pair) -> Formula:
    q, k = pair.flat()
    reach = pattern.size("reach")
    return both(_between(q, k, reach, reach), Divides(pattern.size("step"), q - k))


def _strided(pattern: Pattern, pair: Pair) -> Formula:
    q, k = pair.flat()
    return Divides(pattern.size("step"), q - k)


def _block(pattern: Pattern, pair: Pair) -> Formula:
    q, k = pair.flat()
    return Together(q, k, pattern.size("size"))


def _global(pattern: Pattern, pair: Pair) -> Formula:
    last = Linear((), pattern.size("count") - 1)
    return either(*(AtMost(side, last) for side in pair.flat()))


def _prefix(pattern: Pattern, pair: Pair) -> Formula:
    return AtMost(_flat(pair.key, "k"), Linear((), pattern.size("length") - 1))


def _reach(pattern: Pattern, name: str) -> int:
    """How far a window goes along an axis: its own argument, else the radius of all."""
    given = dict(pattern.arguments)
    own = {"frame": "frames", "row": "height", "column": "width"}[name]
    return pattern.size(own if own in given else "radius")


def _window2d(pattern: Pattern, pair: Pair) -> Formula:
    parts = [pair.close(name, _reach(pattern, name)) for name in ("row", "column")]
    return both(*_same_frame(pair), *parts)


def _same_frame(pair: Pair) -> tuple[Formula, ...]:
    return (pair.same("frame"),) if "frame" in pair.shared() else ()


def _window3d(pattern: Pattern, pair: Pair) -> Formula:
    names = ("frame", "row", "column")
    return both(*(pair.close(name, _reach(pattern, name)) for name in names))


def _shifted_window(pattern: Pattern, pair: Pair) -> Formula:
    size = pattern.size("size")
    ahead = -pattern.size("shift") % size
    if len(pair.query.axes) == len(pair.key.axes) == 1:
        q, k = pair.flat()
        return Together(q + ahead, k + ahead, size)
    sides = (pair.both(name) for name in ("row", "column"))
    parts = (Together(q + ahead, k + ahead, size) for q, k in sides)
    return both(*_same_frame(pair), *parts)


def _axial(pattern: Pattern, pair: Pair) -> Formula:
    axis = pattern.get("axis")
    names = pair.shared()
    if axis not in names:
        raise MeaninglessError(f"the tokens of these segments share no {axis}")
    return both(*(pair.same(name) for name in names if name != axis))


def _frame(pattern: Pattern, pair: Pair) -> Formula:
    return pair.same("frame")


def _within(pattern: Pattern, pair: Pair) -> Formula:
    duration = pattern.get("duration")
    clocks = pair.query.clock, pair.key.clock
    assert isinstance(duration, int | Fraction)
    if clocks[0] is None or clocks[1] is None:
        raise MeaninglessError("a segment here has no clock")
    duration = Fraction(duration) * _MILLISECONDS
    times = (*(c.offset for c in clocks if c), *(c.period for c in clocks if c), duration)
    unit = lcm(*(time.denominator for time in times))
    ticks = pair.query.names("q")[0], pair.key.names("k")[0]
    q, k = (
        Linear(((name, int(c.period * unit)),), int(c.offset * unit))
        for name, c in zip(ticks, clocks, strict=True)
        if c
    )
    reach = int(duration * unit)
    return both(_at_most(q - k, reach), _at_most(k - q, reach))


def _at_most(value: Linear, most: int) -> Formula:
    """value <= most, without a common factor."""
    common = gcd(*(factor for _, factor in value.terms)) or 1
    terms = tuple((name, factor // common) for name, factor in value.terms)
    return AtMost(Linear(terms), Linear((), (most - value.number) // common))


_MEANINGS: Final[dict[str, Callable[[Pattern, Pair], Formula]]] = {
    "full": lambda pattern, pair: ALWAYS,
    "none": lambda pattern, pair: NEVER,
    "causal": _causal,
    "window": _window,
    "dilated": _dilated,
    "strided": _strided,
    "block": _block,
    "global": _global,
    "prefix": _prefix,
    "window2d": _window2d,
    "window3d": _window3d,
    "shifted_window": _shifted_window,
    "axial": _axial,
    "frame": _frame,
    "within": _within,
}
