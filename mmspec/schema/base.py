"""What every model of the schema shares: frozen, strict, no unknown keys, sizes from `dims`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from mmspec.diagnostics import MmspecError
from mmspec.expressions import dimension


class Model(BaseModel):
    """A frozen, strict pydantic model that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="forbid", strict=True, populate_by_name=True
    )


def first_message(error: MmspecError) -> str:
    """The message and help of an expression error as one line, for pydantic to carry."""
    diagnostic = error.diagnostics[0]
    return diagnostic.message + (f"; {diagnostic.help}" if diagnostic.help else "")


def _size(value: Any, info: ValidationInfo) -> Any:
    """Evaluate a dimension expression with the spec's `dims`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    dims: Mapping[str, int] = (info.context or {}).get("dims", {})
    try:
        return dimension.evaluate(value, dims)
    except MmspecError as error:
        raise ValueError(first_message(error)) from None


Size = Annotated[int, BeforeValidator(_size), Field(ge=1, lt=2**31)]
Fraction01 = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
