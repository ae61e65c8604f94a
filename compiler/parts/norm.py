"""Norms of each token's features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir


class RmsNorm(nn.Module):
    """Divide by the root mean square (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, norm: ir.RmsNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.offset = norm.offset
        self.weight = nn.Parameter(torch.zeros(width) if norm.offset else torch.ones(width))

    def reset_parameters(self) -> None:
        if self.offset:
            nn.init.zeros_(self.weight)
        else:
            nn.init.ones_(self.weight)

    def forward(self, x_btd: Tensor) -> Tensor:
        scale = torch.rsqrt(x_btd.square().mean(dim=-1, keepdim=True) + self.eps)
        if self.offset:
            return x_btd * scale * (1 + self.weight)
        else:
            return x_btd * scale * self.weight


class OffsetLayerNorm(nn.Module):
    """A layer norm whose weight is kept less 1, so that decay draws it to 1."""

    def __init__(self, width: int, norm: ir.LayerNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width)) if norm.bias else None

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x_btd: Tensor) -> Tensor:
        return F.layer_norm(x_btd, self.weight.shape, 1 + self.weight, self.bias, self.eps)


class GroupNorm(nn.Module):
    """Norm {norm.groups} groups of each token's features by themselves (Wu & He 2018)."""

    def __init__(self, width: int, norm: ir.GroupNorm) -> None:
        super().__init__()
        self.groups = norm.groups
        self.eps = norm.eps
        self.offset = norm.offset
        self.weight = nn.Parameter(torch.zeros(width) if norm.offset else torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if norm.bias else None

    def reset_parameters(self) -> None:
        if self.offset:
            nn.init.zeros_(self.weight)
        else:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x_btd: Tensor) -> Tensor:
        # A row a token: of [B, D, T] the norm would be over tokens too.
        x_rd = x_btd.flatten(0, 1)
        if self.offset:
            y_rd = torch.group_norm(x_rd, self.groups, 1 + self.weight, self.bias, self.eps)
        else:
            y_rd = torch.group_norm(x_rd, self.groups, self.weight, self.bias, self.eps)
        return y_rd.view_as(x_btd)


def norm_layer(width: int, norm: ir.Norm) -> nn.Module:
    """A norm of the features of each token (inlined by the emitter: one return is left)."""
    if isinstance(norm, ir.RmsNorm):
        return RmsNorm(width, norm)
    if isinstance(norm, ir.GroupNorm):
        return GroupNorm(width, norm)
    if norm.offset:
        return OffsetLayerNorm(width, norm)
    return nn.LayerNorm(width, eps=norm.eps, bias=norm.bias)


def normed_together(x_bhtw: Tensor, norm: nn.Module) -> Tensor:
    """A norm of the features of all heads of a token at once."""
    heads_bthw = x_bhtw.transpose(1, 2)
    y_btf: Tensor = norm(heads_bthw.flatten(2))
    return y_btf.view_as(heads_bthw).transpose(1, 2)
