"""Rotary positions: which features of queries and keys are turned, and by what angles."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Linear:
    """All angles divided by a factor."""

    factor: float


@dataclass(frozen=True, slots=True)
class Llama3:
    """Those divided by a factor that are of less than `low` turns in `length` tokens.

    Of more than `high` turns they stay; between them there is no leap.
    """

    factor: float
    length: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rotary:
    """The first `width` features of a head, in pairs by base^(-2i/width) a position.

    Pairs are (i, i + width/2), or (2i, 2i + 1) where they are interleaved.
    """

    width: int
    base: float
    interleaved: bool
    scaling: Linear | Llama3 | None

    @property
    def usual(self) -> bool:
        """Whether the angles are those of Su et al. (2021)."""
        return self.base == 10000.0 and self.scaling is None

    @property
    def angles(self) -> Rotary:
        """What its tables of angles are made from: which features they turn is no matter."""
        return replace(self, interleaved=False)
