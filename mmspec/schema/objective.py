"""Objectives: the loss of each head and its weight."""

from __future__ import annotations

from typing import Final, Literal

from mmspec.schema.base import Fraction01, Model, NonNegative

Loss = Literal["cross-entropy", "mse", "next-token", "masked", "contrastive"]

LOSSES: Final[dict[str, tuple[Loss, ...]]] = {
    "classifier": ("cross-entropy",),
    "regressor": ("mse",),
    "language-model": ("next-token", "masked"),
    "contrastive": ("contrastive",),
}
"""What a head of each kind may be trained by, first what it is unless told."""


class Objective(Model):
    """Loss of one head; `loss` None is the default of the head's kind."""

    loss: Loss | None = None
    """By default that of the head's kind."""
    weight: NonNegative = 1.0
    """What it is multiplied by in the sum of losses."""
    smoothing: Fraction01 = 0.0
    """The share of the target that goes to all classes alike."""
