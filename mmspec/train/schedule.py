"""The learning rate of each step, and how many steps a budget of seconds buys."""

from __future__ import annotations

import math

_SHARE_TO_MEASURE = 0.1


def rate(step: int, peak: float, warmup: int, total: int | None) -> float:
    """The rate of a step (counted from 1): linear to the peak, then a cosine towards 0.

    `total` None: not known yet, which is possible in the warm-up only.
    """
    if step <= warmup:
        return peak * step / warmup
    if total is None:
        return peak
    progress = (step - warmup) / (max(total, step) - warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def steps_for(seconds: float, step: int, used: float, warmup: int) -> int | None:
    """The steps that a budget buys in all, once enough were timed; None before.

    Timed are the steps of the warm-up, or those in a tenth of the budget if that is less.
    """
    if step < max(warmup, 1) and used < _SHARE_TO_MEASURE * seconds:
        return None
    return max(step, round(seconds * step / used)) if used > 0 else None
