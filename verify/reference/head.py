"""Head: what is read from a stream, one sample at a time (contrastive: over the batch)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mmspec.schema import head as kinds
from mmspec.schema.path import features
from mmspec.schema.pool import is_mean
from mmspec.schema.stream import Stream
from mmspec.verify.reference import path
from mmspec.verify.reference.arithmetic import Shapes, Weights, linear, linear_shapes
from mmspec.verify.reference.sequence import mean_or_zero

SMALLEST = 1e-12
Pooled = kinds.Classifier | kinds.Regressor


def pool(x: Tensor, kind: str) -> Tensor:
    """Tokens [n, D] to one vector [D]: 0 where there are none; by name they are those of that."""
    if is_mean(kind) or not x.shape[0]:
        return mean_or_zero(x)
    return x[-1] if kind == "last" else x[0]


def answer(
    head: kinds.Head, w: Weights, sides: list[list[Tensor]], table: Tensor, padded: int
) -> Tensor:
    """What a head says that is not read by sample alone.

    sides: of each stream it reads the tokens [n, D] by sample; table: [vocab, D] of what it
    predicts, in rows of `padded` places.
    """
    if isinstance(head, kinds.Contrastive):
        return compare(head, w, sides)
    assert isinstance(head, kinds.LanguageModel), head
    (samples,), inner = sides, w.at("through")
    rows = [path.run(head.through, inner, x, True, True) for x in samples]
    logits = torch.stack([predict(head.scale * x, table, padded) for x in rows])
    return logits + (w if head.tied else w.at("output"))["bias"] if head.bias else logits


def first_scale(head: kinds.Head) -> float | None:
    """What the logarithm of its scale starts from, where it has one."""
    return math.log(1 / head.temperature) if isinstance(head, kinds.Contrastive) else None


def read(head: kinds.Head, w: Weights, x: Tensor) -> Tensor:
    """Class logits or numbers of one sample from its stream's tokens [n, D]."""
    assert isinstance(head, Pooled), head
    y = path.run(head.through, w.at("through"), pool(x, head.pool), True, True)
    return linear(y, w.at("output"))


def predict(x: Tensor, table: Tensor, padded: int) -> Tensor:
    """Next-token logits [padded, vocab] of the tokens x [n, D]; NaN at padded positions."""
    logits = x @ table.T
    blank = torch.full((padded - x.shape[0], table.shape[0]), torch.nan, dtype=torch.float64)
    return torch.cat([logits, blank])


def compare(head: kinds.Contrastive, w: Weights, sides: list[list[Tensor]]) -> Tensor:
    """Similarities [B, B] of the two sides' samples, each given as tokens [n, D]."""
    unit = []
    for name, how, samples in zip(head.source, head.pools, sides, strict=True):
        inner = w.at(f"{name}_projection")
        pooled = torch.stack([linear(pool(x, how), inner, bias=False) for x in samples])
        norm = torch.sqrt((pooled * pooled).sum(1, keepdim=True).clamp_min(SMALLEST**2))
        unit.append(pooled / norm)
    return torch.exp(w["scale"]) * unit[0] @ unit[1].T


def shapes(head: kinds.Head, streams: Mapping[str, Stream], vocab: int) -> Shapes:
    """Names and shapes of a head's weights; `vocab` of what it predicts."""
    if isinstance(head, kinds.Contrastive):
        found: Shapes = {"scale": ()}
        for name in head.source:
            found |= linear_shapes(
                f"{name}_projection", streams[name].width, head.width, bias=False
            )
        return found
    width = streams[head.source].width
    inner = path.shapes(head.through, width, True, True)
    found = {f"through.{name}": shape for name, shape in inner.items()}
    last = features(head.through, width)
    if not isinstance(head, kinds.LanguageModel):
        size = head.classes if isinstance(head, kinds.Classifier) else head.outputs
        return found | linear_shapes("output", last, size)
    if head.tied:
        return found | ({"bias": (vocab,)} if head.bias else {})
    return found | linear_shapes("output", last, vocab, head.bias)
