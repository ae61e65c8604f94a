"""How many distances q - k a mask shows, and how many pairs, in closed form: whatever the numbers.

Between the ends of a mask's patterns a distance is shown by what divides it alone, and by the
parts of blocks that both tokens lie in. As A & B = A*B, A | B = A + B - A*B and ~A = 1 - A, that
is a signed sum:

    part := (start, stop, {(step, blocks): number})    of the multiples of a step so many are
                                                       shown where all these blocks are shared
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import lcm
from operator import and_, invert, or_
from typing import Final, NamedTuple

import numpy as np

from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, fold, patterns
from mmspec.verify.seen import Bools, Ints, in_order

__all__ = ["Blocks", "Distances", "Ends", "Part", "at", "of_distance", "pairs_between", "parts"]

_MOST: Final = 4096
"""Terms of a sum."""

_FAR: Final = 2**62
"""Further than any distance: of the multiples of such a step only 0 is there."""

Ends = tuple[int, int]
"""The first, and the one after the last."""

Blocks = frozenset[tuple[int, int]]
"""Of each its size, and where one of its parts begins."""

Terms = dict[tuple[int, Blocks], int]

_ANY: Final = Blocks()


class Part(NamedTuple):
    """Distances from `start` to `stop`, and what is shown of them."""

    start: int
    stop: int
    terms: Terms


def parts(mask: Mask, lowest: int, stop: int) -> tuple[Part, ...]:
    """Those of the distances from `lowest` up to `stop`. Raises OverflowError."""
    ends = sorted({lowest, stop, *(x for x in _ends(mask) if lowest < x < stop)})
    return tuple(Part(a, b, _terms(mask, a)) for a, b in pairwise(ends))


def of_distance(mask: Mask) -> bool:
    """Whether a mask depends on q - k alone."""
    return all(pattern.facts.of_distance for pattern in patterns(mask))


class Distances:
    """Those from `lowest` up to `stop` that a mask of such patterns shows."""

    def __init__(self, mask: Mask, lowest: int, stop: int) -> None:
        """Raises OverflowError where too many steps divide distances in too many ways."""
        self._parts = parts(mask, lowest, stop)

    def before(self, distance: Ints) -> Ints:
        """How many that are less than these are shown."""
        found = np.zeros(np.shape(distance), np.int64)
        for start, stop, terms in self._parts:
            if not terms:
                continue
            last = np.clip(distance, start, stop) - 1
            for (step, _), number in terms.items():
                found += number * (last // step - (start - 1) // step)
        return found


def pairs_between(parts: Iterable[Part], queries: Ends, keys: Ends) -> int:
    """Pairs of the tokens between two ends and two others that are shown, all blocks shared."""
    (first, last), (left, right) = queries, keys
    if first >= last or left >= right:
        return 0
    # So many pairs are at a distance: more and more of them, then as many, then fewer and fewer.
    least, most = sorted((first - left, last - right))
    slopes = (
        (first - right, least, right - first, 1),
        (least, most, min(last - first, right - left), 0),
        (most, last - left, last - left, -1),
    )
    return sum(
        number * _summed(max(start, low), min(stop, high), step, base, slope)
        for low, high, base, slope in slopes
        for start, stop, terms in parts
        for (step, _), number in terms.items()
        if start < high and low < stop
    )


def _summed(start: int, stop: int, step: int, base: int, slope: int) -> int:
    """The sum of base + slope * d over the multiples of a step from `start` up to `stop`."""
    low, high = -(-start // step), -(-stop // step)
    many = high - low
    if many <= 0:
        return 0
    return many * base + slope * step * (many * (low + high - 1) // 2)


def _ends(mask: Mask) -> list[int]:
    """Where what a pattern says changes but for its steps."""
    found: list[int] = []
    for pattern in patterns(mask):
        rule = pattern.along()
        if rule.size is not None:
            found += 1 - rule.size, rule.size
        if rule.after is not None:
            found.append(-rule.after)
        if rule.before is not None:
            found.append(rule.before + 1)
    return found


def _terms(mask: Mask, distance: int) -> Terms:
    """What a mask shows between two ends, of which a distance is within."""
    return fold(
        mask,
        lambda pattern: _of_pattern(pattern, distance),
        lambda operand: _sum({(1, _ANY): 1}, operand, -1),
        _product,
        lambda one, other: _sum(_sum(one, other, 1), _product(one, other), -1),
    )


def _of_pattern(pattern: Pattern, distance: int) -> Terms:
    rule = pattern.along()
    if rule.size is not None:
        return {(1, Blocks({(rule.size, rule.begin)})): 1} if abs(distance) < rule.size else {}
    behind = rule.before is None or distance <= rule.before
    ahead = rule.after is None or -distance <= rule.after
    if pattern == NONE or not (behind and ahead):
        return {}
    return {(rule.step or 1, _ANY): 1}


def _sum(left: Terms, right: Terms, sign: int) -> Terms:
    found = dict(left)
    for term, number in right.items():
        found[term] = found.get(term, 0) + sign * number
    return {term: number for term, number in found.items() if number}


def _product(left: Terms, right: Terms) -> Terms:
    found: Terms = {}
    for (one, blocks), a in left.items():
        for (other, more), b in right.items():
            term = min(lcm(one, other), _FAR), blocks | more
            found[term] = found.get(term, 0) + a * b
        if len(found) > _MOST:
            raise OverflowError(f"steps and blocks that meet in more than {_MOST:,} ways")
    return {term: number for term, number in found.items() if number}


def at(mask: Mask, distance: Ints) -> Bools:
    """Whether pairs at these distances are visible."""
    origin = np.zeros_like(distance)

    def of_pattern(pattern: Pattern) -> Bools:
        if pattern.facts.by == "nothing":
            return np.full(distance.shape, pattern == FULL)
        return in_order(pattern, distance, origin)

    return fold(mask, of_pattern, invert, and_, or_)
