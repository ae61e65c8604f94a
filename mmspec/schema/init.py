"""How the weights of a model start."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from mmspec.schema import choice
from mmspec.schema.base import Model

Deviation = Annotated[float, Field(ge=1e-6, le=1e3, allow_inf_nan=False)]


class FanIn(Model):
    """Linears by the number of their inputs, as torch makes them; tables and positions small."""

    kind: Literal["fan-in"] = "fan-in"


class Gpt2(Model):
    """N(0, 0.02), and what blocks add by 1 / sqrt(2 layers) (Radford et al. 2019)."""

    kind: Literal["gpt2"]


class Normal(Model):
    """N(0, std) for every weight, 0 for every bias."""

    kind: Literal["normal"]
    std: Deviation = 0.02
    """The standard deviation."""


class TruncatedNormal(Model):
    """N(0, std), drawn again beyond two std; 0 for every bias."""

    kind: Literal["truncated-normal"]
    std: Deviation = 0.02
    """The standard deviation."""


KINDS: Final[dict[str, Any]] = choice.by_name(FanIn, Gpt2, Normal, TruncatedNormal)
"""Every way by its name."""

Init = Annotated[
    Annotated[FanIn | Gpt2 | Normal | TruncatedNormal, Field(discriminator="kind")],
    choice.reader("init", KINDS, number="normal"),
]
FAN_IN: Final = FanIn.model_construct()
