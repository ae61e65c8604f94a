"""Objectives: the loss of each head and its weight."""

from __future__ import annotations

from typing import Literal

from mmspec.schema.base import Fraction01, Model, NonNegative

Loss = Literal["cross-entropy", "mse", "next-token", "contrastive"]

DEFAULT_LOSS: dict[str, Loss] = {
    "classifier": "cross-entropy",
    "regressor": "mse",
    "language-model": "next-token",
    "contrastive": "contrastive",
}


class Objective(Model):
    """Loss of one head; `loss` None is the default of the head's kind."""

    loss: Loss | None = None
    """By default that of the head's kind."""
    weight: NonNegative = 1.0
    """What it is multiplied by in the sum of losses."""
    smoothing: Fraction01 = 0.0
    """The share of the target that goes to all classes alike."""
