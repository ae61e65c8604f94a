"""Streams: stacks of blocks over a sequence of tokens."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.base import Fraction01, Model, Refused, Size, nearest_divisor
from mmspec.schema.fusion import Fusion
from mmspec.schema.halting import Halting
from mmspec.schema.norm import LayerNorm, Norm
from mmspec.schema.routing import FeedForward, Mlp
from mmspec.schema.scores import Scores

_DEEPEST: Final = 10_000
"""Blocks of a stream: each becomes a module."""


class Stream(Model):
    """A stack of `depth` blocks of `width` over the tokens that `source` gives."""

    source: Fusion = Field(alias="from")
    depth: Size
    width: Size
    heads: Size
    kv_heads: Size = 0
    head_width: Size = 0
    attention: Attention = FULL
    scores: Scores | None = None
    feed_forward: FeedForward = Mlp.model_construct()
    norm: Norm = LayerNorm.model_construct()
    final_norm: bool = True
    bias: bool = True
    dropout: Fraction01 = 0.0
    halting: Halting | None = None

    @model_validator(mode="before")
    @classmethod
    def _final_norm_follows_placement(cls, value: Any) -> Any:
        if isinstance(value, dict) and "final_norm" not in value:
            norm = value.get("norm")
            post = isinstance(norm, dict) and norm.get("placement") == "post"
            return {**value, "final_norm": not post}
        return value

    @model_validator(mode="after")
    def _not_endless(self) -> Stream:
        if self.depth > _DEEPEST:
            message = f"a stream has at most {_DEEPEST:,} blocks, not {self.depth:,}"
            raise Refused(Diagnostic("MM105", message), "depth")
        return self

    @model_validator(mode="after")
    def _norm_fits(self) -> Stream:
        self.norm.fit(self.width)
        return self

    @model_validator(mode="after")
    def _heads_fit(self) -> Stream:
        if not self.head_width and self.width % self.heads:
            message = f"width {self.width} is not a multiple of heads {self.heads}"
            advice = f"{nearest_divisor(self.width, self.heads)} heads fit; or give head_width"
            raise Refused(Diagnostic("MM105", message, help=advice), "heads")
        kv_heads = self.kv_heads or self.heads
        if self.heads % kv_heads:
            message = f"heads {self.heads} is not a multiple of kv_heads {kv_heads}"
            advice = f"{nearest_divisor(self.heads, kv_heads)} kv_heads fit"
            raise Refused(Diagnostic("MM105", message, help=advice), "kv_heads")
        object.__setattr__(self, "kv_heads", kv_heads)
        object.__setattr__(self, "head_width", self.head_width or self.width // self.heads)
        return self
