"""Head: what is read from a stream, one sample at a time (contrastive: over the batch)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmspec.schema import head as kinds
from mmspec.verify.reference.arithmetic import Shapes, Weights, linear, linear_shapes
from mmspec.verify.reference.sequence import mean_or_zero

SMALLEST = 1e-12
Pooled = kinds.Classifier | kinds.Regressor


def pool(x: Tensor, kind: kinds.Pool) -> Tensor:
    """Tokens [n, D] to one vector [D]: 0 where there are none."""
    if kind == "mean" or not x.shape[0]:
        return mean_or_zero(x)
    return x[0] if kind == "first" else x[-1]


def answer(
    head: kinds.Head, w: Weights, sides: list[list[Tensor]], table: Tensor, padded: int
) -> Tensor:
    """What a head says of a batch; sides: of each stream it reads the tokens [n, D] by sample.

    table: [vocab, D] of what it predicts, in rows of `padded` places.
    """
    if isinstance(head, kinds.Contrastive):
        return compare(head, w, sides)
    (samples,) = sides
    if isinstance(head, kinds.LanguageModel):
        return torch.stack([predict(x, table, padded) for x in samples])
    return torch.stack([read(head, w, x) for x in samples])


def first_scale(head: kinds.Head) -> float | None:
    """What the logarithm of its scale starts from, where it has one."""
    return math.log(1 / head.temperature) if isinstance(head, kinds.Contrastive) else None


def read(head: kinds.Head, w: Weights, x: Tensor) -> Tensor:
    """Class logits or numbers of one sample from its stream's tokens [n, D]."""
    assert isinstance(head, Pooled), head
    return linear(pool(x, head.pool), w.at("output"))


def predict(x: Tensor, table: Tensor, padded: int) -> Tensor:
    """Next-token logits [padded, vocab] of the tokens x [n, D]; NaN at padded positions."""
    logits = x @ table.T
    blank = torch.full((padded - x.shape[0], table.shape[0]), torch.nan, dtype=torch.float64)
    return torch.cat([logits, blank])


def compare(head: kinds.Contrastive, w: Weights, sides: list[list[Tensor]]) -> Tensor:
    """Similarities [B, B] of the two sides' samples, each given as tokens [n, D]."""
    unit = []
    for name, samples in zip(head.source, sides, strict=True):
        inner = w.at(f"{name}_projection")
        pooled = torch.stack([linear(mean_or_zero(x), inner, bias=False) for x in samples])
        norm = torch.sqrt((pooled * pooled).sum(1, keepdim=True).clamp_min(SMALLEST**2))
        unit.append(pooled / norm)
    return torch.exp(w["scale"]) * unit[0] @ unit[1].T


def shapes(head: kinds.Head, widths: dict[str, int], vocab: int) -> Shapes:
    """Names and shapes of a head's weights; `widths` by stream, `vocab` of what it predicts."""
    if isinstance(head, kinds.Contrastive):
        found: Shapes = {"scale": ()}
        for name in head.source:
            found |= linear_shapes(f"{name}_projection", widths[name], head.width, bias=False)
        return found
    if isinstance(head, kinds.LanguageModel):
        if head.tied:
            return {}
        return linear_shapes("output", widths[head.source], vocab, bias=False)
    size = head.classes if isinstance(head, kinds.Classifier) else head.outputs
    return linear_shapes("output", widths[head.source], size)
