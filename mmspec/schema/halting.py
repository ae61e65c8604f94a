"""Adaptive depth: pondering and exits by confidence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmspec.schema.base import Held, Model, NonNegative, Size
from mmspec.schema.names import Name

Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), Held]
Threshold = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), Held]


class Ponder(Model):
    """Apply the blocks up to `at_most` times; halt by a learned probability (PonderNet 2021)."""

    kind: Literal["ponder"]
    at_most: Size
    prior: Probability
    weight: NonNegative = 0.01
    threshold: Threshold = 0.99


class Exit(Model):
    """Leave after a block once the head is confident enough."""

    kind: Literal["exit"]
    head: Name
    threshold: Threshold
    every: Size = 1


Halting = Annotated[Ponder | Exit, Field(discriminator="kind")]
