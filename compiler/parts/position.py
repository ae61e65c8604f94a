"""Where tokens stand, as sines and cosines."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.derived import Derived


def sincos(positions: Tensor, width: int) -> Tensor:
    """Sine and cosine of each position at `width` / 2 frequencies, interleaved: [..., width]."""
    precise = positions.to(torch.float64)
    rates_i = torch.arange(0, width, 2, device=positions.device, dtype=torch.float64) / width
    angles = precise[..., None] * 10000.0**-rates_i
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def sincos_2d(positions: Tensor, columns: int, width: int) -> Tensor:
    """The same of the row in the first half of the width, of the column in the second."""
    row, column = positions // columns, positions % columns
    return torch.cat((sincos(row, width // 2), sincos(column, width // 2)), dim=-1)


def place_angles(positions: Tensor, first: int, pairs: int, steps: int) -> Tensor:
    """Positions counted from `first` times rates from 1 down: float64 [..., pairs].

    After so many steps a rate is 1/10000.
    """
    rates_i = torch.arange(pairs, device=positions.device, dtype=torch.float64) / steps
    return (positions + first).to(torch.float64)[..., None] * 10000.0**-rates_i


class Places(Derived):
    """Sines and cosines of places [...] below {tokens} -> [..., {width}] (Vaswani et al. 2017)."""

    def __init__(
        self, tokens: int, width: int, columns: int = 0, position: ir.Position | None = None
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.width = width
        self.columns = columns
        self.usual = position is None or position.usual
        self.offset = 0 if position is None else position.offset
        self.interleaved = position is None or position.interleaved
        self.steps = width // 2 if position is None or not position.endpoint else width // 2 - 1
        self.kept = tokens <= 65536
        if self.kept:
            self.place_td: Tensor
            self.register_buffer("place_td", torch.empty(tokens, width), persistent=False)
            self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.kept:
            positions_t = torch.arange(self.tokens, device=self.place_td.device)
            self.place_td.copy_(self.made(positions_t))

    def made(self, positions: Tensor) -> Tensor:
        if self.columns:
            return sincos_2d(positions, self.columns, self.width)
        elif self.usual:
            return sincos(positions, self.width)
        elif self.interleaved:
            angles = place_angles(positions, self.offset, self.width // 2, self.steps)
            return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        else:
            angles = place_angles(positions, self.offset, self.width // 2, self.steps)
            return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def forward(self, positions: Tensor) -> Tensor:
        if self.kept:
            return self.place_td[positions]
        else:
            return self.made(positions)
