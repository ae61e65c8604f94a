"""Fusions: how a stream's sources become one sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmspec.diagnostics import Diagnostic
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.base import Model, Refused, Size
from mmspec.schema.names import Name


class _Common(Model):
    """Keys of every fusion; `heads` None means the stream's."""

    of: tuple[Name, ...] = Field(min_length=1)


class Concat(_Common):
    """All tokens of all sources, in order."""

    fusion: Literal["concat"] = "concat"


class Gated(_Common):
    """Each source scaled by a learned softmax gate over the sources present (after GMU, 2017)."""

    fusion: Literal["gated"]
    of: tuple[Name, ...] = Field(min_length=2)


class Latents(_Common):
    """Learned queries attend to all tokens (Perceiver, 2021)."""

    fusion: Literal["attention"]
    queries: Size
    heads: Size | None = None


class CrossAttention(_Common):
    """The first source attends to the others."""

    fusion: Literal["cross-attention"]
    of: tuple[Name, ...] = Field(min_length=2)
    heads: Size | None = None
    attention: Attention = FULL


class Transformer(_Common):
    """Full-attention blocks over all tokens, each source marked by a learned embedding."""

    fusion: Literal["transformer"]
    of: tuple[Name, ...] = Field(min_length=2)
    depth: Size = 1
    heads: Size | None = None


def _as_fusion(value: Any) -> Any:
    """`text` and `[text, image]` are short for a concat."""
    if isinstance(value, str):
        return {"fusion": "concat", "of": (value,)}
    if isinstance(value, tuple | list):
        return {"fusion": "concat", "of": tuple(value)}
    if not isinstance(value, Mapping | _Common):
        message = "`from` names what the stream reads"
        advice = "write a modality, a stream, a list of them, or {fusion: ..., of: [...]}"
        raise Refused(Diagnostic("MM104", message, help=advice))
    return value


Fusion = Annotated[
    Annotated[
        Concat | Gated | Latents | CrossAttention | Transformer, Field(discriminator="fusion")
    ],
    BeforeValidator(_as_fusion),
]
