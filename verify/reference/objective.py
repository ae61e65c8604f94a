"""Objective: the loss of each head, from its output for the whole batch and its target."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.verify.reference.arithmetic import log_softmax

IGNORED = -100


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the samples that are not ignored (0 without any); logits [B, C], target [B].

    Smoothing s: the target has probability 1 - s + s/C, every other class s/C.
    """
    losses = [
        _cross_entropy(row, int(code), smoothing)
        for row, code in zip(logits, target, strict=True)
        if int(code) != IGNORED
    ]
    return mean(losses)


def _cross_entropy(logits: Tensor, code: int, smoothing: float) -> Tensor:
    logarithms = log_softmax(logits)
    return -(1 - smoothing) * logarithms[code] - smoothing * logarithms.mean()


def mean(losses: list[Tensor]) -> Tensor:
    """Mean of scalars; 0 of none."""
    return torch.stack(losses).mean() if losses else torch.zeros((), dtype=torch.float64)


def mean_squared_error(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean over batch and outputs."""
    difference = outputs - target.to(torch.float64)
    return (difference * difference).mean()


def next_token(logits: Tensor, target: Tensor, rows: list[list[int]]) -> Tensor:
    """Position t predicts token t+1 of the target; logits [B, T, V].

    rows: the positions that carry a loss, in each sample.
    """
    losses = []
    for sample, tokens, carrying in zip(logits, target, rows, strict=True):
        for t in carrying:
            if int(tokens[t + 1]) != IGNORED:
                losses.append(_cross_entropy(sample[t], int(tokens[t + 1]), 0.0))
    return mean(losses)


def masked(logits: Tensor, target: Tensor, lengths: list[int]) -> Tensor:
    """Position t predicts token t of the target; logits [B, T, V], so many valid of a sample."""
    losses = []
    for sample, tokens, length in zip(logits, target, lengths, strict=True):
        for t in range(length):
            if int(tokens[t]) != IGNORED:
                losses.append(_cross_entropy(sample[t], int(tokens[t]), 0.0))
    return mean(losses)


def contrastive(logits: Tensor, both: list[bool]) -> Tensor:
    """Mean of the cross-entropies along rows and along columns, over samples with both sides."""
    kept = [i for i, present in enumerate(both) if present]
    square = logits[kept][:, kept]
    target = torch.arange(len(kept))
    return (cross_entropy(square, target) + cross_entropy(square.T, target)) / 2
