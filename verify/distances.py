"""How many distances q - k between two ends a mask shows, in closed form, whatever their number.

Between the ends of a mask's patterns what it shows repeats by the least multiple of its steps.
"""

from __future__ import annotations

from itertools import pairwise
from math import lcm
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.expressions.mask import And, Mask, Not, Or, patterns
from mmspec.verify.seen import Bools, Ints, in_order

__all__ = ["DISTANCES", "Distances", "at"]

DISTANCES: Final = frozenset({"full", "none", "causal", "window", "dilated", "strided"})
"""Patterns that depend on q - k alone."""

_MOST: Final = 2**22
"""Distances that are looked at one by one."""


class Distances:
    """Those from `lowest` up to `stop` that a mask of such patterns shows."""

    def __init__(self, mask: Mask, lowest: int, stop: int) -> None:
        """Looks at one period of each part between two ends. Raises OverflowError."""
        steps = [p.size("step") for p in patterns(mask) if p.name in ("dilated", "strided")]
        ends = sorted({lowest, stop, *(x for x in _ends(mask) if lowest < x < stop)})
        sizes = [min(lcm(*steps), b - a) for a, b in pairwise(ends)]
        if sum(sizes) > _MOST:
            raise OverflowError(f"{sum(sizes)} distances")
        shown = [at(mask, np.arange(a, a + n)) for a, n in zip(ends[:-1], sizes, strict=True)]
        sums = [
            np.append(0, np.cumsum(np.broadcast_to(one, n)))
            for one, n in zip(shown, sizes, strict=True)
        ]
        self._starts, self._sizes = np.array(ends[:-1], np.int64), np.array(sizes, np.int64)
        self._sums: npt.NDArray[np.int64] = np.concatenate(sums)
        self._first = np.append(0, np.cumsum([len(one) for one in sums]))[:-1]
        self._whole = np.array([one[-1] for one in sums], np.int64)
        self._before = np.zeros(len(sizes), np.int64)
        self._before[1:] = np.cumsum(
            [self._within(place, b - a) for place, (a, b) in enumerate(pairwise(ends))]
        )[:-1]

    def before(self, distance: Ints) -> Ints:
        """How many that are less than these are shown."""
        place = np.searchsorted(self._starts, distance, "right") - 1
        place = np.maximum(place, 0)
        return np.asarray(self._before[place] + self._within(place, distance - self._starts[place]))

    def _within(self, place: Ints | int, offset: Ints | int) -> Ints:
        """Of the first so many of a part."""
        turns, rest = offset // self._sizes[place], offset % self._sizes[place]
        return np.asarray(turns * self._whole[place] + self._sums[self._first[place] + rest])


def _ends(mask: Mask) -> list[int]:
    """Where what a pattern says changes but for its steps."""
    found: list[int] = []
    for pattern in patterns(mask):
        if pattern.name == "causal":
            found.append(0)
        elif pattern.name == "window":
            found += -pattern.size("after"), pattern.size("before") + 1
        elif pattern.name == "dilated":
            found += -pattern.size("reach"), pattern.size("reach") + 1
    return found


def at(mask: Mask, distance: Ints) -> Bools:
    """Whether pairs at these distances are visible."""
    if isinstance(mask, Not):
        return ~at(mask.operand, distance)
    if isinstance(mask, And | Or):
        left, right = at(mask.left, distance), at(mask.right, distance)
        return left & right if isinstance(mask, And) else left | right
    if mask.name in ("full", "none"):
        return np.full(distance.shape, mask.name == "full")
    return in_order(mask, distance, np.zeros_like(distance))
