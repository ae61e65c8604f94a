"""Comparing numbers, and saying where they differ."""

from __future__ import annotations

import torch
from torch import Tensor

ABSOLUTE, RELATIVE = 1e-10, 1e-8
"""T64 of the laws: |difference| <= 1e-10 + 1e-8 |expected|."""


def difference(found: Tensor, expected: Tensor, slack: float = 0.0) -> str | None:
    """What differs most, in words; None within T64 plus `slack`. NaN is expected of nothing:
    where `expected` holds it, there is nothing to compare.
    """
    if found.shape != expected.shape:
        return f"has shape {list(found.shape)}, not {list(expected.shape)}"
    found, expected = found.detach().to(torch.float64), expected.detach().to(torch.float64)
    allowed = ABSOLUTE + RELATIVE * expected.abs() + slack
    asked = ~expected.isnan()
    share = torch.where(asked, (found - expected).abs() / allowed, 0.0)
    share = torch.where(asked & found.isnan(), torch.inf, share)
    if not share.numel() or float(share.max()) <= 1:
        return None
    place = torch.unravel_index(share.argmax(), share.shape)
    at = f" at {[int(i) for i in place]}" if place else ""
    return f"is {float(found[place]):.9g}, not {float(expected[place]):.9g}{at}"


def moved(before: Tensor, after: Tensor) -> str | None:
    """How a value moved that must not move; None within T64."""
    if difference(after, before) is None:
        return None
    largest = float((after - before).abs().max())
    return f"moves by {largest:.3g}"
