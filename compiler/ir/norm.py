"""Norms: what each token's features are divided by; where it stands is the sub-layer's.

A norm is a record of its numbers, and says what others ask of it: its name in the language, and
whether it has a bias beside its weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Kind:
    """What every norm says; a new one overrides what is otherwise with it."""

    name: ClassVar[str]
    """As the language has it."""

    in_order: ClassVar[bool] = False
    """Whether it makes tensors whose axes stand in their order, whatever it reads."""

    eps: float
    offset: int = field(default=0, kw_only=True)
    """What is added to its weight before features are multiplied by it: 0 or 1."""

    @property
    def biased(self) -> bool:
        """Whether it adds a number to each feature, as it multiplies each by one."""
        return False


@dataclass(frozen=True, slots=True)
class Biased(Kind):
    """A norm that may add a number to each feature."""

    bias: bool

    @property
    def biased(self) -> bool:
        """As its stream says."""
        return self.bias


@dataclass(frozen=True, slots=True)
class LayerNorm(Biased):
    """By mean and variance over the features."""

    name = "layer"
    in_order = True


@dataclass(frozen=True, slots=True)
class RmsNorm(Kind):
    """By the root mean square of the features."""

    name = "rms"


@dataclass(frozen=True, slots=True)
class GroupNorm(Biased):
    """By mean and variance over each of so many equal runs of features."""

    name = "group"

    groups: int


Norm = LayerNorm | RmsNorm | GroupNorm
