"""What that which a sub-layer adds is multiplied by: a number, or what is learned."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from mmspec.schema import choice
from mmspec.schema.base import Factor, Model, Positive


class LayerScale(Model):
    """A learned factor of each feature (Touvron et al. 2021)."""

    kind: Literal["learned"]
    start: Positive = 1e-5
    """What all of them are at first."""


class Gate(Model):
    """The tanh of a learned number, which is 0 at first (Alayrac et al. 2022)."""

    kind: Literal["gate"]


KINDS: Final[dict[str, Any]] = choice.by_name(LayerScale, Gate)
"""Every scale that is learned, by its name."""

_Learned = Annotated[
    Annotated[LayerScale | Gate, Field(discriminator="kind")], choice.reader("scale", KINDS)
]


def _tag(value: Any) -> str:
    """A text is an expression of a number, unless it begins with the name of what is learned."""
    if isinstance(value, str):
        return "[learned]" if value.partition("(")[0].strip() in KINDS else "[number]"
    return "[number]" if isinstance(value, int | float) else "[learned]"


_Written = (
    Annotated[float, Field(gt=0)]
    | Annotated[str, Field(examples=["gate", "learned(1e-5)", "1/sqrt(d)"])]
    | LayerScale
    | Gate
)
Scale = Annotated[
    Annotated[
        Annotated[Factor, Tag("[number]")] | Annotated[_Learned, Tag("[learned]")],
        Discriminator(_tag),
    ],
    BeforeValidator(lambda value: value, json_schema_input_type=_Written),
]
