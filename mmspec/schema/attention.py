"""Attention of a stream: one mask, or masks by pair of segments; for all heads or by heads."""

from __future__ import annotations

from typing import Any

from pydantic import Field, InstanceOf, ValidationInfo, field_validator, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import mask as masks
from mmspec.schema.base import HeadCount, Model, Refused, parsed


def parse_mask(value: Any, *keys: str) -> masks.Mask:
    """Parse the text of a mask expression, or raise ValueError with what to write.

    keys: of the value, below `attention`.
    """
    if isinstance(value, masks.Mask):
        return value
    if not isinstance(value, str):
        message = "a mask is an expression such as `causal & window(before=15)`"
        raise Refused(Diagnostic("MM105", message), *keys)
    return parsed(masks.parse, value, *keys)


def _pairs(value: dict[str, Any]) -> dict[tuple[str, str], masks.Mask]:
    """The masks by pair; a pair may be written in two ways, but stands once."""
    found: dict[tuple[str, str], masks.Mask] = {}
    for key, text in value.items():
        pair = parsed(masks.parse_pair, key, key)
        if pair in found:
            message = f"the pair `{pair[0]} -> {pair[1]}` stands twice"
            raise Refused(Diagnostic("MM223", message, help="keep one of them"), key, text=key)
        found[pair] = parse_mask(text, key)
    return found


class Attention(Model):
    """Who sees whom, said in one of three ways.

    `mask`: for the whole sequence; `pairs`: (query, key) segment names to masks; `groups`: heads
    that stand together, each with one of the other two.
    """

    mask: (
        InstanceOf[masks.Pattern]
        | InstanceOf[masks.And]
        | InstanceOf[masks.Or]
        | InstanceOf[masks.Not]
        | None
    ) = None
    pairs: dict[tuple[str, str], Any] | None = None
    groups: tuple[Heads, ...] | None = Field(None, min_length=1)

    def by_heads(self, heads: int) -> tuple[tuple[int, Attention], ...]:
        """Heads that stand together, in order, and what they see."""
        if self.groups is None:
            return ((heads, self),)
        return tuple((group.heads, group.mask) for group in self.groups)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            return {"mask": parse_mask(value)}
        if isinstance(value, list | tuple) and value:
            return {"groups": value}
        if isinstance(value, dict) and value:
            return {"pairs": _pairs(value)}
        raise ValueError("write a mask, or masks by pair such as {text -> image: full}")

    @field_validator("pairs")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value is not None and not value:
            raise ValueError("name at least one pair")
        return value


class Heads(Model):
    """Some heads, and what they see."""

    heads: HeadCount
    """How many."""
    mask: Attention
    """What they see."""

    @field_validator("mask")
    @classmethod
    def _one_level(cls, value: Attention) -> Attention:
        if value.groups is not None:
            raise ValueError("heads of heads: write a mask, or masks by pair")
        return value


Attention.model_rebuild()
FULL = Attention.model_construct(mask=masks.FULL)
