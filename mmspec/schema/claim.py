"""Claims: sentences about the model, parsed once."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from mmspec.expressions import claim
from mmspec.schema.base import parsed


def _parse(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a claim is a sentence such as `params <= 5e6` or `causal(text)`")
    parsed(claim.parse, value)
    return value


Claim = Annotated[str, BeforeValidator(_parse)]
