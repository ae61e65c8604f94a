"""How the weights of a model start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import choice
from mmspec.schema.base import Model, Refused, parsed

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


class TruncatedNormal(Model):
    """N(0, std), drawn again beyond two std; 0 for every bias."""

    kind: Literal["truncated-normal"]
    std: Deviation = 0.02


_TAKES: Final[dict[str, tuple[str, ...]]] = {
    "fan-in": (),
    "gpt2": (),
    "normal": ("std",),
    "truncated-normal": ("std",),
}
"""The words, and the arguments of each."""


def _short(value: Any) -> Any:
    """`gpt2` and `normal(0.02)` as mappings."""
    if isinstance(value, str):
        return parsed(lambda text, span: choice.parse(text, _TAKES, "initialisation", span), value)
    if isinstance(value, Mapping):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    advice = f"write `init: normal({value})`" if number else f"one of: {', '.join(_TAKES)}"
    raise Refused(Diagnostic("MM104", "`init` is a word, or a mapping with `kind`", help=advice))


Init = Annotated[
    Annotated[FanIn | Gpt2 | Normal | TruncatedNormal, Field(discriminator="kind")],
    BeforeValidator(_short),
]
FAN_IN: Final = FanIn.model_construct()
