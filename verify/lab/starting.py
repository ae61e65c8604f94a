"""Whether numbers are drawn as a `Start` says: bounds that a right model all but never passes.

With u = -log of the chance of a false alarm, for n numbers of mean 0 and variance 1 whose sums have
no heavier tails than those of a normal (as uniform and truncated ones do not):
|mean| <= sqrt(2u / n); mean square <= 1 + 2 sqrt(u / n) + 2u / n (Laurent & Massart 2000, lemma 1)
and >= 1 - sqrt(6u / n) (Bernstein, fourth moment at most 3); a share within sqrt(u / 2n) of what
it should be (Hoeffding 1963); and the largest is beyond where a share of u / n lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from mmspec.verify.reference.init import Start

_U: Final = 20.0
"""One false alarm in 500 million bounds."""
_ROUNDING: Final = 1e-5
_SAMPLE: Final = 2**18
"""Numbers of a weight that are looked at, evenly spaced: its deviation to one part in a hundred."""


@dataclass(slots=True)
class Drawn:
    """What is kept of numbers that were drawn, in scales of their start."""

    start: Start
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    inside: int = 0
    most: float = 0.0

    def add(self, other: Drawn) -> None:
        """Take in what was drawn of another weight from the same start."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.inside += other.inside
        self.most = max(self.most, other.most)

    def wrong(self) -> str | None:
        """How the numbers differ from what they are drawn from; None where they do not."""
        n, start = self.count, self.start
        deviation = start.deviation / start.scale
        mean, power = self.total / n / deviation, self.squares / n / deviation**2
        low, high = 1 - math.sqrt(6 * _U / n), 1 + 2 * math.sqrt(_U / n) + 2 * _U / n
        if not low <= power <= high:
            found = math.sqrt(power) * start.deviation
            return f"has a deviation of {found:.4g}, not {start.deviation:.4g}"
        if abs(mean) > math.sqrt(2 * _U / n):
            return f"has a mean of {mean * start.deviation:.4g}, not 0"
        if self.most > start.most / start.scale + _ROUNDING:
            return f"holds {self.most * start.scale:.4g}, beyond {start.most:.4g}"
        if n > _U and self.most < start.beyond(_U / n) / start.scale - _ROUNDING:
            return f"holds nothing beyond {self.most * start.scale:.4g}: its tails are cut"
        if abs(self.inside / n - start.inside) > math.sqrt(_U / 2 / n):
            return f"is not {start.law}: {self.inside / n:.3f} of it is within half of its scale"
        return None


def drawn_of(weight: Tensor, start: Start) -> Drawn:
    """What is kept of one weight."""
    flat = weight.detach().flatten()
    values = flat[:: -(-flat.numel() // _SAMPLE)].to(torch.float64) / start.scale
    sizes = values.abs()
    total, squares = float(values.sum()), float(values.square().sum())
    inside = int((sizes <= 0.5).sum())
    return Drawn(start, values.numel(), total, squares, inside, float(sizes.max()))


def unequal(weight: Tensor, start: Start) -> str | None:
    """How a constant weight differs from its start; None where it does not."""
    values = weight.detach().to(torch.float64)
    wrong = values[~((values - start.scale).abs() <= _ROUNDING)]
    return f"holds {float(wrong[0]):.6g}, not {start.scale:.6g}" if wrong.numel() else None
