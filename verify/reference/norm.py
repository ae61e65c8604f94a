"""Norms: what a token's features are divided by, from the formulas."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.schema.norm import GroupNorm, LayerNorm, NoNorm, Norm, RmsNorm
from mmspec.verify.reference.arithmetic import INPUT, Shapes, Weights


def normalise(x: Tensor, w: Weights, norm: Norm, bias: bool) -> Tensor:
    """A norm over the features of x, which stay as they are where there is none."""
    if isinstance(norm, NoNorm):
        return x
    x = w.note(x, INPUT)
    weight = w["weight"] if norm.offset is None else 1 + w["weight"]
    match norm:
        case LayerNorm(eps=eps):
            y = standard(x, eps) * weight
        case RmsNorm(eps=eps):
            y = _rms(x, eps) * weight
        case GroupNorm(eps=eps, groups=groups):
            y = _group(x, groups, eps) * weight
    return w.note(y + w["bias"] if bias and norm.may_be_biased else y)


def layer(x: Tensor, w: Weights, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the features."""
    return standard(x, eps) * w["weight"] + w["bias"]


def standard(x: Tensor, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps), over the features."""
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + eps)


def _rms(x: Tensor, eps: float) -> Tensor:
    """X / sqrt(mean of squares + eps)."""
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)


def _group(x: Tensor, groups: int, eps: float) -> Tensor:
    """As `standard`, but mean and variance are of the D / groups features next to one another."""
    run = x.shape[-1] // groups
    parts = [x[..., first : first + run] for first in range(0, x.shape[-1], run)]
    return torch.cat([standard(part, eps) for part in parts], -1)


def shapes(name: str, width: int, norm: Norm, bias: bool) -> Shapes:
    """Names and shapes of the weights of a norm with a bias or not, if there is one."""
    if isinstance(norm, NoNorm):
        return {}
    found: Shapes = {f"{name}.weight": (width,)}
    return found | {f"{name}.bias": (width,)} if bias and norm.may_be_biased else found
