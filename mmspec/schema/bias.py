"""Biases of a stream: of all that have one, of none, or by role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Tag

from mmspec.schema.base import Model

Role = Literal["query", "key", "value", "output", "up", "gate", "down", "router", "norm"]


class Biases(Model):
    """Which roles have a bias; of those not named, what `linear` says, or else the default.

    `linear` stands for every role but `norm`.
    """

    linear: bool | None = None
    """Of all linears that are not named."""
    query: bool | None = None
    """Of the map to queries."""
    key: bool | None = None
    """Of the map to keys."""
    value: bool | None = None
    """Of the map to values."""
    output: bool | None = None
    """Of the map that brings heads together."""
    up: bool | None = None
    """Of the map to hidden features."""
    gate: bool | None = None
    """Of the gate of a glu."""
    down: bool | None = None
    """Of the map back from hidden features."""
    router: bool | None = None
    """Of the map that chooses experts."""
    norm: bool | None = None
    """Of layer and group norms."""


class RowBiases(Model):
    """Which of what makes tokens of a modality's raw values has a bias; unless told, all."""

    patch: bool = True
    """Of the map from raw values to features."""
    norm: bool = True
    """Of the norm of the tokens."""


_UNBIASED: Final = ("router",)
"""Roles that have no bias unless it is asked for by name."""


def has_bias(bias: bool | Biases, role: Role) -> bool:
    """Whether what has this role has a bias."""
    if isinstance(bias, bool):
        return bias and role not in _UNBIASED
    named: bool | None = getattr(bias, role)
    if named is not None:
        return named
    if role == "norm" or bias.linear is None:
        return role not in _UNBIASED
    return bias.linear and role not in _UNBIASED


def of_rows(bias: bool | RowBiases, role: Literal["patch", "norm"]) -> bool:
    """Whether what has this role in a modality has a bias."""
    return bias if isinstance(bias, bool) else bool(getattr(bias, role))


def _tag(value: Any) -> str:
    return "[roles]" if isinstance(value, Mapping | Biases | RowBiases) else "[flag]"


Bias = Annotated[
    Annotated[bool, Tag("[flag]")] | Annotated[Biases, Tag("[roles]")], Discriminator(_tag)
]
RowBias = Annotated[
    Annotated[bool, Tag("[flag]")] | Annotated[RowBiases, Tag("[roles]")], Discriminator(_tag)
]
