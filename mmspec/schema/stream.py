"""Streams: stacks of blocks over a sequence of tokens."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.base import Fraction01, Model, Refused, Size, nearest_divisor
from mmspec.schema.bias import Bias, Role, has_bias
from mmspec.schema.fusion import Fusion
from mmspec.schema.halting import Halting
from mmspec.schema.names import Name, VariantName
from mmspec.schema.norm import FinalNorm, LayerNorm, NoNorm, Norm, Normed, inherited
from mmspec.schema.rotary import Rotary, RotaryChoice
from mmspec.schema.routing import FeedForward, Mlp
from mmspec.schema.scores import Scores
from mmspec.schema.variants import Runs, ordered

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
    rotary: RotaryChoice | None = None
    feed_forward: FeedForward = Mlp.model_construct()
    norm: Norm = LayerNorm.model_construct()
    final_norm: FinalNorm = True
    bias: Bias = True
    dropout: Fraction01 = 0.0
    halting: Halting | None = None
    variants: dict[VariantName, Stream] = Field(default_factory=dict)
    layers: Runs = ()
    repeat: Size | None = None
    like: Name | None = None

    @property
    def kinds(self) -> tuple[tuple[str, Stream], ...]:
        """Its kinds of layers by name; where all are alike, itself."""
        return tuple(self.variants.items()) or (("", self),)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Which of its kinds its layers are, again and again until there are `depth`."""
        if not self.variants:
            return (0,)
        names = [*self.variants]
        return tuple(map(names.index, ordered(self.layers, self.depth, tuple(names))))

    def layer(self, place: int) -> Stream:
        """The settings of a layer, counted from 0."""
        order = self.order
        return self.kinds[order[place % self.depth % len(order)]][1]

    @model_validator(mode="before")
    @classmethod
    def _final_norm_follows_norm(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        norm = value.get("norm", "layer")
        if "final_norm" in value:
            return {**value, "final_norm": inherited(value["final_norm"], norm)}
        placement = norm.get("placement") if isinstance(norm, dict) else None
        is_none = (norm.get("kind") if isinstance(norm, dict) else norm) == "none"
        return {**value, "final_norm": placement != "post" and not is_none}

    @property
    def last_norm(self) -> Normed | None:
        """The norm after the last block."""
        final = self.norm if self.final_norm is True else self.final_norm
        return None if isinstance(final, bool | NoNorm) else final

    @property
    def turning(self) -> Rotary | None:
        """How queries and keys of tokens with rotary positions are turned."""
        return None if self.rotary == "none" else self.rotary or Rotary.model_construct()

    def biased(self, role: Role) -> bool:
        """Whether what has this role in a block has a bias."""
        return has_bias(self.bias, role)

    @model_validator(mode="after")
    def _not_endless(self) -> Stream:
        if self.depth > _DEEPEST:
            message = f"a stream has at most {_DEEPEST:,} blocks, not {self.depth:,}"
            raise Refused(Diagnostic("MM105", message), "depth")
        return self

    @model_validator(mode="after")
    def _layers_fit(self) -> Stream:
        if self.variants and not self.layers:
            message = "`layers` is missing: which layer is of which variant"
            advice = f"add `layers: [{', '.join(self.variants)}]`, again and again until `depth`"
            raise Refused(Diagnostic("MM328", message, help=advice), "variants")
        if self.layers and not self.variants:
            message = "`layers` names variants, and the stream has none"
            raise Refused(Diagnostic("MM328", message, help="add `variants`"), "layers")
        if self.variants:
            ordered(self.layers, self.depth, tuple(self.variants))
        if self.repeat and self.halting:
            message = f"`{self.halting.named()}` says itself how often the layers are applied"
            raise Refused(Diagnostic("MM105", message, help="remove `repeat`"), "repeat")
        return self

    @model_validator(mode="after")
    def _norm_fits(self) -> Stream:
        if isinstance(self.norm, Normed):
            self.norm.fit(self.width)
        elif self.final_norm is True:
            message = "`norm: none` says nothing of a final norm"
            advice = "write `final_norm: layer`, or false"
            raise Refused(Diagnostic("MM105", message, help=advice), "final_norm")
        if self.last_norm is not None and self.last_norm is not self.norm:
            self.last_norm.fit(self.width)
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
