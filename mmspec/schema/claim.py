"""Claims: sentences about the model, parsed once."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from mmspec.diagnostics import MmspecError
from mmspec.expressions import claim
from mmspec.schema.base import first_message


def _parse(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a claim is a sentence such as `params <= 5e6` or `causal(text)`")
    try:
        claim.parse(value)
    except MmspecError as error:
        raise ValueError(first_message(error)) from None
    return value


Claim = Annotated[str, BeforeValidator(_parse)]
