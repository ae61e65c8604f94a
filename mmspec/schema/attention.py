"""Attention of a stream: one mask, or a mask for each ordered pair of segments."""

from __future__ import annotations

from typing import Any

from pydantic import InstanceOf, ValidationInfo, field_validator, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import mask as masks
from mmspec.schema.base import Model, Refused, parsed


def parse_mask(value: Any, *keys: str) -> masks.Mask:
    """Parse the text of a mask expression, or raise ValueError with what to write.

    keys: of the value, below `attention`.
    """
    if isinstance(value, masks.Pattern | masks.And | masks.Or | masks.Not):
        return value
    if not isinstance(value, str):
        message = "a mask is an expression such as `causal & window(before=15)`"
        raise Refused(Diagnostic("MM105", message), *keys)
    return parsed(masks.parse, value, *keys)


class Attention(Model):
    """Either `mask` for the whole sequence, or `pairs`: (query, key) segment names to masks."""

    mask: (
        InstanceOf[masks.Pattern]
        | InstanceOf[masks.And]
        | InstanceOf[masks.Or]
        | InstanceOf[masks.Not]
        | None
    ) = None
    pairs: dict[tuple[str, str], Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            return {"mask": parse_mask(value)}
        if isinstance(value, dict) and not set(value) <= {"mask", "pairs"}:
            pairs = {key: parsed(masks.parse_pair, key, key) for key in value}
            return {"pairs": {pairs[key]: parse_mask(text, key) for key, text in value.items()}}
        if isinstance(value, dict) and value:
            return value
        raise ValueError("write a mask, or masks by pair such as {text -> image: full}")

    @field_validator("pairs")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value is not None and not value:
            raise ValueError("name at least one pair")
        return value


FULL = Attention.model_construct(mask=masks.Pattern("full", ()))
