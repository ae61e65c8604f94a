"""Rotary positions that are not the usual ones: other angles, pairs of neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmspec.compiler import ir


def rotary_rates(head_width: int, base: float, device: torch.device) -> Tensor:
    """How far each pair turns from one position to the next: float64 [head_width / 2]."""
    rates_i = torch.arange(0, head_width, 2, device=device, dtype=torch.float64)
    return base ** (-rates_i / head_width)


def llama3_rates(rates_i: Tensor, factor: float, length: int, turns: tuple[float, float]) -> Tensor:
    """Slower by a factor where a pair turns seldom in so many tokens (Dubey et al. 2024).

    turns: fewer than the first are few, more than the second are many.
    """
    few, many = turns
    share_i = (length * rates_i / (2 * math.pi) - few).div(many - few).clamp(0, 1)
    return rates_i * (share_i + (1 - share_i) / factor)


def rates_of(rotary: ir.Rotary, device: torch.device) -> Tensor:
    """How far each pair turns (inlined by the emitter: one return is left)."""
    if isinstance(rotary.scaling, ir.Linear):
        return rotary_rates(rotary.width, rotary.base, device) / rotary.scaling.factor
    if isinstance(rotary.scaling, ir.Llama3):
        return llama3_rates(
            rotary_rates(rotary.width, rotary.base, device),
            rotary.scaling.factor,
            rotary.scaling.length,
            (rotary.scaling.low, rotary.scaling.high),
        )
    return rotary_rates(rotary.width, rotary.base, device)


def rotation_by(positions: Tensor, rates_i: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of angles that grow by these rates: two float64 tables [..., pairs]."""
    angles = positions[..., None] * rates_i
    return angles.cos(), angles.sin()


def rotate_neighbours(x_bhtw: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (2i, 2i + 1) of the head width by its angle (Su et al. 2021)."""
    cos_ti, sin_ti = (table.to(x_bhtw.dtype) for table in turn)
    first, second = x_bhtw.unflatten(-1, (-1, 2)).unbind(-1)
    pairs = (first * cos_ti - second * sin_ti, second * cos_ti + first * sin_ti)
    return torch.stack(pairs, dim=-1).flatten(-2)
