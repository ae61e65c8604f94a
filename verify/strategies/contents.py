"""What inputs hold: laws under which faults show that well-behaved noise would hide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

Fill = Callable[[tuple[int, ...], torch.Generator], Tensor]


def _gaussian(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _offset(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return _gaussian(shape, generator) + 10


def _outliers(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """One feature (the last axis) a hundred times the others."""
    values = _gaussian(shape, generator)
    values[..., :1] *= 100
    return values


def _heavy_tails(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Student's t with two degrees of freedom."""
    chi = _gaussian(shape, generator).square() + _gaussian(shape, generator).square()
    return _gaussian(shape, generator) / torch.sqrt(chi / 2 + 1e-6)


def _duplicates(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Every sample and position of the sequence alike."""
    row = _gaussian((*([1] * (len(shape) - 1)), shape[-1]), generator)
    return row.expand(shape).clone()


def _zeros(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def _large(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return _gaussian(shape, generator) * 1e3


LAWS: Final[dict[str, Fill]] = {
    "gaussian": _gaussian,
    "offset by 10": _offset,
    "an outlier feature": _outliers,
    "heavy tails": _heavy_tails,
    "duplicates": _duplicates,
    "zeros": _zeros,
    "large": _large,
}


def numbers(law: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Float64 values of that shape under a law."""
    return LAWS[law](shape, generator)


def codes(law: str, shape: tuple[int, ...], count: int, generator: torch.Generator) -> Tensor:
    """Int64 codes below `count`: one code for duplicates and zeros, uniform otherwise."""
    if law == "zeros":
        return torch.zeros(shape, dtype=torch.int64)
    if law == "duplicates":
        return torch.randint(count, (1,), generator=generator).expand(shape).clone()
    return torch.randint(count, shape, generator=generator)


def text(law: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Int64 bytes, most of them of a few letters, large and small, and spaces between."""
    letters = torch.tensor([*b"ab Z"])[codes(law, shape, 4, generator)]
    others = codes(law, shape, 256, generator)
    return torch.where(torch.rand(shape, generator=generator) < 0.75, letters, others)
