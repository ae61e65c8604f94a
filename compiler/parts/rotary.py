"""Rotary positions: tables of angles, and queries and keys turned by them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.derived import Derived


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


def rotation(positions: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles: two float64 tables [..., head_width / 2]."""
    rates_i = torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float64)
    angles = positions[..., None] * 10000.0 ** (-rates_i / head_width)
    return angles.cos(), angles.sin()


class Rotation(Derived):
    """Cosines and sines of the rotary angles of positions: two tables [..., {width} / 2]."""

    def __init__(self, positions: int, rotary: ir.Rotary, alone: bool = True) -> None:
        super().__init__()
        self.positions = positions
        self.rotary = rotary
        self.usual = rotary.usual and alone  # beside others it is one class with them
        self.width = rotary.width
        self.kept = 0 < positions <= 65536
        if self.kept:
            self.cos_ti: Tensor
            self.sin_ti: Tensor
            half = self.width // 2
            self.register_buffer("cos_ti", torch.empty(positions, half), persistent=False)
            self.register_buffer("sin_ti", torch.empty(positions, half), persistent=False)
            self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.kept:
            positions_t = torch.arange(self.positions, device=self.cos_ti.device)
            if self.usual:
                cos_ti, sin_ti = rotation(positions_t, self.width)
            else:
                rates_i = rates_of(self.rotary, positions_t.device)
                cos_ti, sin_ti = rotation_by(positions_t, rates_i)
            self.cos_ti.copy_(cos_ti)
            self.sin_ti.copy_(sin_ti)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        if self.kept:
            return self.cos_ti[positions], self.sin_ti[positions]
        elif self.usual:
            return rotation(positions, self.width)
        else:
            return rotation_by(positions, rates_of(self.rotary, positions.device))


def rotate(x_bhtw: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (i, i + w/2) of the head width by its angle (Su et al. 2021)."""
    cos_ti, sin_ti = (table.to(x_bhtw.dtype) for table in turn)
    first, second = x_bhtw.chunk(2, dim=-1)
    return torch.cat((first * cos_ti - second * sin_ti, second * cos_ti + first * sin_ti), dim=-1)


def rotate_some(x_bhtw: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the first features of the head width, as many as there are angles for."""
    width = 2 * turn[0].shape[-1]
    return torch.cat((rotate(x_bhtw[..., :width], turn), x_bhtw[..., width:]), dim=-1)


def rotate_some_neighbours(x_bhtw: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """The same, by pairs of neighbours."""
    width = 2 * turn[0].shape[-1]
    first = rotate_neighbours(x_bhtw[..., :width], turn)
    return torch.cat((first, x_bhtw[..., width:]), dim=-1)
