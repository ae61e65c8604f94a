"""Norms of each token's features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmspec.compiler import ir


class RmsNorm(nn.Module):
    """Divide by the root mean square (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x_btd: Tensor) -> Tensor:
        scale = torch.rsqrt(x_btd.square().mean(dim=-1, keepdim=True) + self.eps)
        return x_btd * scale * self.weight


class GroupNorm(nn.Module):
    """Norm {norm.groups} groups of each token's features by themselves (Wu & He 2018)."""

    def __init__(self, width: int, norm: ir.GroupNorm) -> None:
        super().__init__()
        self.groups = norm.groups
        self.eps = norm.eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if norm.bias else None

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x_btd: Tensor) -> Tensor:
        # A row a token: of [B, D, T] the norm would be over tokens too.
        x_rd = x_btd.flatten(0, 1)
        y_rd = torch.group_norm(x_rd, self.groups, self.weight, self.bias, self.eps)
        return y_rd.view_as(x_btd)


def norm_layer(width: int, norm: ir.Norm) -> nn.Module:
    """A norm of the features of each token (inlined by the emitter: one return is left)."""
    if isinstance(norm, ir.RmsNorm):
        return RmsNorm(width, norm.eps)
    if isinstance(norm, ir.GroupNorm):
        return GroupNorm(width, norm)
    return nn.LayerNorm(width, eps=norm.eps, bias=norm.bias)
