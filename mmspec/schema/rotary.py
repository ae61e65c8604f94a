"""Rotary positions in a stream: by what angles queries and keys are turned, and which features."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema import choice
from mmspec.schema.base import Held, Model, Positive, Refused, Size

_FINEST: Final = 100_000
"""The greatest denominator of a share: 0.14285714 is a seventh."""
Factor = Annotated[float, Field(ge=1, allow_inf_nan=False), Held]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Linear(Model):
    """All angles divided by a factor (Chen et al. 2023)."""

    kind: Literal["linear"]
    factor: Annotated[Factor, Field(examples=[8])]
    """What angles are divided by."""


class Llama3(Model):
    """Slow turns divided by a factor, fast ones as they are (Dubey et al. 2024).

    A pair that turns less than `low` times in `length` tokens is slow, one that turns more than
    `high` times fast; between them the angles go over from one to the other.
    """

    kind: Literal["llama3"]
    factor: Annotated[Factor, Field(examples=[8])]
    """What the angles of slow turns are divided by."""
    length: Annotated[Size, Field(examples=[8192])]
    """Tokens in which turns are counted."""
    low: Positive = 1.0
    """Fewer turns are slow."""
    high: Positive = 4.0
    """More turns are fast."""

    @model_validator(mode="after")
    def _low_is_lower(self) -> Llama3:
        if self.low >= self.high:
            message = f"low {self.low:g} is not below high {self.high:g}"
            raise Refused(Diagnostic("MM105", message, help="write low=1, high=4"), "low")
        return self


_SCALINGS: Final[dict[str, Any]] = choice.by_name(Linear, Llama3)
Scaling = Annotated[
    Annotated[Linear | Llama3, Field(discriminator="kind")], choice.reader("scaling", _SCALINGS)
]


class Rotary(Model):
    """Angles base^(-2i/n) a position, of n features of each head."""

    base: Annotated[float, Field(gt=1, allow_inf_nan=False), Held] = 10000.0
    """Of the angles base^(-2i/n)."""
    partial: Share = 1.0
    """The share of the head width that is turned."""
    interleaved: bool = False
    """Pairs (2i, 2i + 1); else (i, i + n/2)."""
    scaling: Scaling | None = None
    """How angles change for longer texts."""

    def turned(self, head_width: int) -> Fraction:
        """How many features of a head of so many are turned; only an even number can be."""
        return Fraction(self.partial).limit_denominator(_FINEST) * head_width


def _tag(value: Any) -> str:
    return "[rotary]" if isinstance(value, Mapping | Rotary) else "[none]"


RotaryChoice = Annotated[
    Annotated[Rotary, Tag("[rotary]")] | Annotated[Literal["none"], Tag("[none]")],
    Discriminator(_tag),
]
"""How a stream turns, or that it does not."""
