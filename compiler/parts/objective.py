"""Objectives: the loss of each head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits_bc: Tensor, target_b: Tensor) -> Tensor:
    """Mean cross-entropy over the targets that are not -100."""
    total = F.cross_entropy(logits_bc, target_b, reduction="sum")
    return total / (target_b != -100).sum().clamp(min=1)


def smoothed_cross_entropy(logits_bc: Tensor, target_b: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy over the targets that are not -100, part of each for all classes."""
    total = F.cross_entropy(logits_bc, target_b, reduction="sum", label_smoothing=smoothing)
    return total / (target_b != -100).sum().clamp(min=1)


def next_token(logits_btv: Tensor, ids_bt: Tensor, valid_bt: Tensor | None) -> Tensor:
    """Cross-entropy of position t with token t + 1, over the valid t + 1."""
    if valid_bt is not None:
        ids_bt = ids_bt.masked_fill(~valid_bt, -100)
    following_bt = F.pad(ids_bt, (0, 1), value=-100)[:, 1:]
    total = F.cross_entropy(logits_btv.flatten(0, 1), following_bt.flatten(), reduction="sum")
    return total / (following_bt != -100).sum().clamp(min=1)


def masked_token(logits_btv: Tensor, ids_bt: Tensor, valid_bt: Tensor | None) -> Tensor:
    """Cross-entropy of each position with its own token, over the valid that are not -100."""
    if valid_bt is not None:
        ids_bt = ids_bt.masked_fill(~valid_bt, -100)
    total = F.cross_entropy(logits_btv.flatten(0, 1), ids_bt.flatten(), reduction="sum")
    return total / (ids_bt != -100).sum().clamp(min=1)


def within_documents(ids_bt: Tensor, document_bt: Tensor) -> Tensor:
    """The targets without the first of each document: none of its own tokens predicts it.

    Nor does any predict the first of all, whose place is compared with the last.
    """
    return ids_bt.masked_fill(document_bt != document_bt.roll(1, 1), -100)


def squared_error(numbers_bo: Tensor, target_bo: Tensor) -> Tensor:
    """Mean squared error over batch and outputs."""
    total = F.mse_loss(numbers_bo, target_bo, reduction="sum")
    return total / max(numbers_bo.numel(), 1)


def contrastive(logits_bb: Tensor, first_b: Tensor, second_b: Tensor) -> Tensor:
    """Mean of the cross-entropies along rows and columns, over samples that have both sides."""
    both_b = first_b & second_b
    lowest = torch.finfo(logits_bb.dtype).min
    logits_bb = logits_bb.masked_fill(~(both_b[:, None] & both_b), lowest)
    target_b = torch.arange(logits_bb.shape[0], device=logits_bb.device)
    target_b = target_b.masked_fill(~both_b, -100)
    rows, columns = cross_entropy(logits_bb, target_b), cross_entropy(logits_bb.T, target_b)
    return (rows + columns) / 2


def present(x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
    """Which samples have a token at all: bool [B]."""
    if valid_bt is None:
        return x_btd.new_full((x_btd.shape[0],), x_btd.shape[1] > 0, dtype=torch.bool)
    return valid_bt.any(dim=1)


def total_loss(losses: Mapping[str, Tensor], *auxiliary: Tensor) -> Tensor | None:
    """The sum of all losses; None where no target was given."""
    if not losses:
        return None
    return torch.stack([*losses.values(), *auxiliary]).sum()


def weighted_loss(
    losses: Mapping[str, Tensor], weights: Mapping[str, float], *auxiliary: Tensor
) -> Tensor | None:
    """The weighted sum of all losses (weight 1 where none is named); None without a target."""
    if not losses:
        return None
    weighted = [weights.get(name, 1.0) * loss for name, loss in losses.items()]
    return torch.stack([*weighted, *auxiliary]).sum()
