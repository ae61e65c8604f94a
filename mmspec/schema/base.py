"""What every model of the schema shares: frozen, strict, no unknown keys, sizes from `dims`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from mmspec.diagnostics import Diagnostic, MmspecError, Span
from mmspec.expressions import dimension

Parsed = TypeVar("Parsed")
Kind = TypeVar("Kind", bound=str)
"""The words that `kind` may be, in the keys that all kinds of a thing share."""


class Model(BaseModel):
    """A frozen, strict pydantic model that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="forbid", strict=True, populate_by_name=True
    )


class Refused(ValueError):
    """A problem that keeps its code while pydantic carries it to where the lines are known.

    keys: of what is at fault, below the value that pydantic names; text: the expression in which
    the columns of the diagnostic count.
    """

    def __init__(
        self, found: Diagnostic | MmspecError, *keys: str | int, text: str | None = None
    ) -> None:
        super().__init__("refused")
        self.found, self.keys, self.text = found, keys, text

    @property
    def diagnostic(self) -> Diagnostic:
        """The problem."""
        if isinstance(self.found, Diagnostic):
            return self.found
        return self.found.diagnostics[0]


def parsed(parse: Callable[[str, Span], Parsed], text: str, *keys: str) -> Parsed:
    """What a parser makes of an expression; raises Refused where it raises MmspecError."""
    try:
        return parse(text, Span("", 1, 1, 1, len(text) + 1))
    except MmspecError as error:
        raise Refused(error, *keys, text=text) from None


def nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of a number that is nearest to the one wanted; of two, the smaller."""
    small = [n for n in range(1, isqrt(number) + 1) if number % n == 0]
    return min(sorted({*small, *(number // n for n in small)}), key=lambda n: abs(n - wanted))


def _size(value: Any, info: ValidationInfo) -> Any:
    """Evaluate a dimension expression with the spec's `dims`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    dims: Mapping[str, int] = (info.context or {}).get("dims", {})
    if isinstance(value, str):
        return parsed(lambda text, span: dimension.evaluate(text, dims, span), value)
    return parsed(lambda _text, span: dimension.evaluate(value, dims, span), str(value))


def _depth(value: Any, info: ValidationInfo) -> Any:
    """Evaluate a size; 0 stands for itself."""
    return value if value == 0 else _size(value, info)


def _factor(value: Any, info: ValidationInfo) -> Any:
    """Evaluate an expression with the spec's `dims`; a number stands for itself."""
    if not isinstance(value, str):
        return value
    dims: Mapping[str, int] = (info.context or {}).get("dims", {})
    return parsed(lambda text, span: dimension.factor(text, dims, span), value)


def _held(value: float) -> float:
    """A number that float32 holds, in which models compute; its limits are those of IEEE 754."""
    if abs(value) > _MOST:
        raise ValueError(f"`{value:g}` is infinite in float32; write at most 3.4e38")
    if 0 < abs(value) < _LEAST:
        raise ValueError(f"`{value:g}` is as good as 0 in float32; write at least 1.2e-38")
    return value


_MOST: Final = (2 - 2**-23) * 2.0**127
_LEAST: Final = 2.0**-126

_Written = (
    Annotated[int, Field(ge=1, lt=2**31)]
    | Annotated[str, Field(description="of the `dims`", examples=["2*d"])]
)
Size = Annotated[
    int, BeforeValidator(_size, json_schema_input_type=_Written), Field(ge=1, lt=2**31)
]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a size counts, of which a smaller form of a spec has fewer."""

    what: Literal["features", "head", "heads", "ids", "experts"]


Features = Annotated[Size, Counts("features")]
"""Features of a token, of all heads or of hidden units."""
HeadWidth = Annotated[Size, Counts("head")]
"""Features of a head."""
HeadCount = Annotated[Size, Counts("heads")]
"""Heads of an attention."""
Ids = Annotated[Size, Counts("ids")]
"""Ids, codes or rows of a table."""
ExpertCount = Annotated[Size, Counts("experts")]
"""Experts of a layer."""

_WrittenDepth = Annotated[int, Field(ge=0, lt=2**31)] | str
Depth = Annotated[
    int, BeforeValidator(_depth, json_schema_input_type=_WrittenDepth), Field(ge=0, lt=2**31)
]
"""A size, or 0."""
Held = AfterValidator(_held)
Fraction01 = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), Held]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Held]
_WrittenFactor = (
    Annotated[float, Field(gt=0)]
    | Annotated[str, Field(description="of the `dims`", examples=["1/sqrt(d)"])]
)
Factor = Annotated[Positive, BeforeValidator(_factor, json_schema_input_type=_WrittenFactor)]
"""A positive number, or an expression that gives one."""
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Held]
