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
    weight: NonNegative = 1.0
    smoothing: Fraction01 = 0.0
