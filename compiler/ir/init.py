"""How weights start, where a spec says it of all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Normal:
    """N(0, std), biases 0.

    cut: in std, beyond which is drawn again (0: nowhere); by_depth: what blocks add to the tokens
    starts smaller, by the square root of how much is added.
    """

    std: float
    cut: int
    by_depth: bool
