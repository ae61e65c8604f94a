"""How far from its query a key can be, read off a mask's patterns: what may be, without isl.

A bound for masks of any size and any number. Distances are those of a key's index from its
query's, of whatever segments: a key that comes later has one above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, inf, lcm
from typing import Final

from mmspec.compiler.relations.intervals import Intervals, common, joined
from mmspec.expressions.mask import NONE, Mask, Pattern, fold

__all__ = ["ANYWHERE", "HERE", "Apart", "apart", "looks_back"]

_FAR: Final = 2**62
"""Further than any key."""

_ALL: Final[Intervals] = ((-_FAR, _FAR),)


@dataclass(frozen=True, slots=True)
class Apart:
    """Distances of which none is above `most`, and all are multiples of `step` (0: only 0 is)."""

    most: float
    step: int

    def then(self, other: Apart) -> Apart:
        """What is reached by one after the other."""
        most = self.most + other.most
        return Apart(inf if most > _FAR else most, gcd(self.step, other.step))

    def either(self, other: Apart) -> Apart:
        """What is reached by one or by the other."""
        return Apart(max(self.most, other.most), gcd(self.step, other.step))

    @property
    def holds_next(self) -> bool:
        """Whether the next token may be reached."""
        return self.most >= 1 and self.step == 1


HERE: Final = Apart(0, 0)
ANYWHERE: Final = Apart(inf, 1)


@dataclass(frozen=True, slots=True)
class _May:
    """Distances that may be shown, those that may be hidden, and what divides the shown ones."""

    shown: Intervals
    hidden: Intervals
    step: int


def apart(mask: Mask) -> Apart | None:
    """Of a mask; None: it shows nothing."""

    def hidden(operand: _May) -> _May:
        return _may(operand.hidden, operand.shown)

    def both(one: _May, other: _May) -> _May:
        gone = joined((*one.hidden, *other.hidden))
        return _may(common(one.shown, other.shown), gone, lcm(one.step, other.step))

    def either(one: _May, other: _May) -> _May:
        gone = common(one.hidden, other.hidden)
        return _may(joined((*one.shown, *other.shown)), gone, gcd(one.step, other.step))

    found = fold(mask, _of_pattern, hidden, both, either)
    if not found.shown:
        return None
    most, step = found.shown[-1][1] - 1, found.step
    return Apart(inf if most >= _FAR - 1 else most // step * step if step else 0, step)


def looks_back(mask: Mask) -> bool:
    """Whether its patterns tell that no key is later than its query."""
    found = apart(mask)
    return found is None or found.most <= 0


def _may(shown: Intervals, hidden: Intervals, step: int = 1) -> _May:
    return _May(shown, hidden, 0 if shown == ((0, 1),) else step)


def _of_pattern(pattern: Pattern) -> _May:
    if pattern == NONE:
        return _may((), _ALL)
    if pattern.facts.by not in ("nothing", "order"):
        return _may(_ALL, _ALL)
    if pattern.first is not None:
        queries, keys = pattern.first
        return _may(((-_FAR, _FAR if queries else keys),), _ALL)
    rule = pattern.along()
    if rule.size is not None:
        return _may(((1 - rule.size, rule.size),), _ALL)
    step = rule.step or 1
    start = -_FAR if rule.before is None else -(rule.before // step * step)
    stop = _FAR if rule.after is None else rule.after // step * step + 1
    outside = tuple(one for one in ((-_FAR, start), (stop, _FAR)) if one[0] < one[1])
    return _may(((start, stop),), outside if rule.step is None else _ALL, step)
