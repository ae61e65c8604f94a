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


def norm_layer(width: int, norm: ir.Norm) -> nn.Module:
    """A norm of the features of each token (inlined by the emitter: one return is left)."""
    if isinstance(norm, ir.RmsNorm):
        return RmsNorm(width, norm.eps)
    return nn.LayerNorm(width, eps=norm.eps, bias=norm.bias)
