"""Comparing numbers, and saying where they differ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ABSOLUTE, RELATIVE = 1e-10, 1e-8
"""T64 of the laws: |difference| <= 1e-10 + 1e-8 |expected|."""


@dataclass(frozen=True, slots=True)
class Apart:
    """Two numbers that should be the same, and where they stand."""

    found: float
    expected: float
    place: tuple[int, ...]

    def __str__(self) -> str:
        return f"is {self.found:.9g}, not {self.expected:.9g}"


def shapes_apart(found: Tensor, expected: Tensor) -> str | None:
    """How two shapes differ, in words."""
    if found.shape == expected.shape:
        return None
    return f"has shape {list(found.shape)}, not {list(expected.shape)}"


def farthest(found: Tensor, expected: Tensor, slack: float = 0.0) -> Apart | None:
    """What differs most of two tensors of one shape; None within T64 plus `slack`.

    NaN is expected of nothing: where `expected` holds it, there is nothing to compare.
    """
    found, expected = found.detach().to(torch.float64), expected.detach().to(torch.float64)
    allowed, error = ABSOLUTE + RELATIVE * expected.abs() + slack, (found - expected).abs()
    if bool((error < allowed).all()):
        return None
    asked = ~expected.isnan()
    share = torch.where(asked, error / allowed, 0.0)
    share = torch.where(asked & found.isnan(), torch.inf, share)
    if not share.numel() or float(share.max()) <= 1:
        return None
    place = tuple(int(i) for i in torch.unravel_index(share.argmax(), share.shape))
    return Apart(float(found[place]), float(expected[place]), place)


def difference(found: Tensor, expected: Tensor, slack: float = 0.0) -> str | None:
    """What differs most, in words; None within T64 plus `slack`, NaN expected of nothing."""
    shapes = shapes_apart(found, expected)
    if shapes is not None:
        return shapes
    apart = farthest(found, expected, slack)
    if apart is None:
        return None
    return f"{apart} at {list(apart.place)}" if apart.place else str(apart)


def moved(before: Tensor, after: Tensor) -> str | None:
    """How a value moved that must not move; None within T64."""
    if difference(after, before) is None:
        return None
    largest = float((after - before).abs().max())
    return f"moves by {largest:.3g}"
