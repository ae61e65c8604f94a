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


class BatchNorm(nn.Module):
    """Norm each feature over all places of the samples that are there (Ioffe & Szegedy 2015).

    Evaluation goes by the mean and variance that training keeps.
    """

    def __init__(self, step: ir.BatchNormStep) -> None:
        super().__init__()
        self.eps = step.eps
        self.momentum = step.momentum
        self.weight = nn.Parameter(torch.ones(step.inputs))
        self.bias = nn.Parameter(torch.zeros(step.inputs))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(step.inputs))
        self.register_buffer("running_var", torch.ones(step.inputs))

    def reset_parameters(self) -> None:
        for at_zero, at_one in ((self.bias, self.weight), (self.running_mean, self.running_var)):
            nn.init.zeros_(at_zero)
            nn.init.ones_(at_one)

    def forward(self, x_bdhw: Tensor, present_b: Tensor | None) -> Tensor:
        places = x_bdhw.shape[2] * x_bdhw.shape[3]
        if present_b is None or not self.training:
            # Of one number there is no variance.
            by_batch = self.training and x_bdhw.shape[0] * places > 1
            kept = self.running_mean, self.running_var, self.weight, self.bias
            return F.batch_norm(x_bdhw, *kept, by_batch, self.momentum, self.eps)
        is_absent_b111 = (present_b == 0)[:, None, None, None]
        x_bdhw = x_bdhw.to(self.weight.dtype).masked_fill(is_absent_b111, 0.0)
        count = (present_b > 0).sum() * places
        mean_d = x_bdhw.sum(dim=(0, 2, 3)) / count.clamp(min=1)
        mean_d = torch.where(count > 1, mean_d, self.running_mean)
        centred_bdhw = x_bdhw - mean_d[:, None, None]
        squares_bdhw = centred_bdhw.square().masked_fill(is_absent_b111, 0.0)
        var_d = squares_bdhw.sum(dim=(0, 2, 3)) / count.clamp(min=1)
        var_d = torch.where(count > 1, var_d, self.running_var)
        with torch.no_grad():
            unbiased_d = var_d * count.clamp(min=1) / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean_d, self.momentum)
            self.running_var.lerp_(unbiased_d, self.momentum)
        scale_d = self.weight * torch.rsqrt(var_d + self.eps)
        y_bdhw: Tensor = centred_bdhw * scale_d[:, None, None] + self.bias[:, None, None]
        return y_bdhw


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
