"""Norms: what a token's features are divided by, from the formulas."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.schema.norm import GroupNorm, LayerNorm, Norm, RmsNorm
from mmspec.verify.reference.arithmetic import INPUT, Shapes, Weights


def normalise(x: Tensor, w: Weights, norm: Norm, bias: bool) -> Tensor:
    """The norm of a stream over the features of x."""
    x = w.note(x, INPUT)
    match norm:
        case LayerNorm(eps=eps):
            return w.note(layer(x, w, eps, bias))
        case RmsNorm(eps=eps):
            return w.note(_rms(x, w, eps))
        case GroupNorm(eps=eps, groups=groups):
            return w.note(_group(x, w, groups, eps, bias))


def layer(x: Tensor, w: Weights, eps: float, bias: bool = True) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the features."""
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    y = centred / torch.sqrt(variance + eps) * w["weight"]
    return y + w["bias"] if bias else y


def _rms(x: Tensor, w: Weights, eps: float) -> Tensor:
    """X / sqrt(mean of squares + eps) * weight."""
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * w["weight"]


def _group(x: Tensor, w: Weights, groups: int, eps: float, bias: bool) -> Tensor:
    """As `layer`, but mean and variance are of the D / groups features next to one another."""
    run = x.shape[-1] // groups
    parts = [x[..., first : first + run] for first in range(0, x.shape[-1], run)]
    ones = {"weight": torch.ones(run, dtype=x.dtype)}
    y = torch.cat([layer(part, Weights(ones), eps, bias=False) for part in parts], -1) * w["weight"]
    return y + w["bias"] if bias else y


def shapes(name: str, width: int, norm: Norm, bias: bool) -> Shapes:
    """Names and shapes of the weights of a norm in a stream with biases or not."""
    found: Shapes = {f"{name}.weight": (width,)}
    return found | {f"{name}.bias": (width,)} if bias and norm.may_be_biased else found
