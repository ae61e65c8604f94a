"""Attention of some queries in float64, written out, which outputs and gradients are held to."""

from __future__ import annotations

import torch
from attention_masks import Case, sampled
from torch import Tensor

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 5e-3}
_ROWS = 256
"""Queries that are looked at: all of them up to so many."""
_TOGETHER = 64


def places(case: Case) -> Tensor:
    """The queries that are looked at."""
    return sampled(case.tokens[0], _ROWS)


def only(g_bhqw: Tensor, at: Tensor) -> Tensor:
    """A gradient of the output that is 0 but at some queries: what keys get comes from those."""
    picked = torch.zeros_like(g_bhqw)
    picked[:, :, at] = g_bhqw[:, :, at]
    return picked


def expected(case: Case, inputs: list[Tensor], g_bhqw: Tensor | None, at: Tensor) -> list[Tensor]:
    """Outputs of some queries; with a gradient, theirs and those of all keys and values."""
    q, k, v = (x.double() for x in inputs)
    outputs, of_queries = [], []
    sums = torch.zeros_like(k), torch.zeros_like(v)
    for part in at.split(_TOGETHER):
        seen_qk = case.rows(part)
        x = q[:, :, part]
        scores = (x @ k.mT * x.shape[-1] ** -0.5).masked_fill(~seen_qk, -torch.inf)
        p = scores.softmax(-1).nan_to_num()
        y = p @ v
        outputs.append(y)
        if g_bhqw is not None:
            g = g_bhqw[:, :, part].double()
            ds = p * (g @ v.mT - (g * y).sum(-1, keepdim=True)) * x.shape[-1] ** -0.5
            of_queries.append(ds @ k)
            sums[0].add_(ds.mT @ x)
            sums[1].add_(p.mT @ g)
    found = [torch.cat(outputs, 2)]
    return found if g_bhqw is None else [*found, torch.cat(of_queries, 2), *sums]


def error(found: Tensor, truth: Tensor) -> float:
    """Relative, over all numbers together."""
    return float((found.double() - truth).norm() / truth.norm().clamp(min=1e-30))
