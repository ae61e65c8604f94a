"""Objectives: the loss of a head, what it is computed from, and what its targets look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Kind:
    """What every loss says."""

    name: ClassVar[str]
    """As the language has it."""
    function: ClassVar[str]
    """Its function in `compiler/parts/objective.py`."""
    takes: ClassVar[tuple[str, ...]]
    """Its arguments: of `logits`, `target`, `smoothing`, `valid` (tokens), `present` (samples)."""
    check: ClassVar[str]
    """What looks at targets, in `compiler/parts/inputs.py`."""
    told_of: ClassVar[tuple[str, ...]]
    """What that is told: of `batch`, `size` (the head's), `tokens` (a shape), `length`, `first`."""
    counts: ClassVar[str] = ""
    """What it calls the head's size."""
    logits: ClassVar[str] = "Logits"
    """What it is computed from, in words."""


@dataclass(frozen=True, slots=True)
class CrossEntropy(Kind):
    """Of classes, one a sample."""

    name = "cross-entropy"
    function = "cross_entropy"
    takes: ClassVar[tuple[str, ...]] = ("logits", "target")
    check = "expect_classes"
    told_of = ("batch", "size")
    counts = "classes"


@dataclass(frozen=True, slots=True)
class Smoothed(CrossEntropy):
    """Of classes, part of each for all of them."""

    function = "smoothed_cross_entropy"
    takes = ("logits", "target", "smoothing")

    smoothing: float


@dataclass(frozen=True, slots=True)
class SquaredError(Kind):
    """Of numbers."""

    name = "mse"
    function = "squared_error"
    takes = ("logits", "target")
    check = "expect_values"
    told_of = ("batch", "size")
    counts = "outputs"


@dataclass(frozen=True, slots=True)
class NextToken(Kind):
    """Of each token with the row before it.

    told: tokens k, each p of its document, that the row before them sees: no loss.
    """

    name = "next-token"
    function = "next_token"
    takes = ("logits", "target", "valid")
    check = "expect_next"
    told_of = ("tokens", "length", "size")
    counts = "vocab"
    logits = "Next-token logits"

    told: str


@dataclass(frozen=True, slots=True)
class Masked(Kind):
    """Of each token with its own row, where what is there is hidden from the model."""

    name = "masked"
    function = "masked_token"
    takes = ("logits", "target", "valid")
    check = "expect_next"
    told_of = ("tokens", "length", "size", "first")
    counts = "vocab"


@dataclass(frozen=True, slots=True)
class BothWays(Kind):
    """Of each sample with its other side, among all of the batch."""

    name = "contrastive"
    function = "contrastive"
    takes = ("logits", "present")
    check = "expect_any"
    told_of = ()


Loss = CrossEntropy | Smoothed | SquaredError | NextToken | Masked | BothWays
