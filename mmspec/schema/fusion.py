"""Fusions: how a stream's sources become one sequence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field

from mmspec.diagnostics import Diagnostic, shortened, suggest
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.base import HeadCount, Model, Refused, Size
from mmspec.schema.names import Name
from mmspec.schema.path import Path

T = TypeVar("T")
_CALLED: Final = re.compile(r"([\w-]+)\s*\(([^()]*)\)")
Keeps = Literal["all", "first", "none"]
"""Whose tokens a fusion gives: all sources', the first one's, or tokens of its own."""
Pools = Literal["none", "all", "others"]
"""Sources of which every token that a fusion gives reads all tokens at once."""


class Fusing(Model):
    """Keys of every fusion, and what a reader may know of one without its name."""

    joins: ClassVar[bool] = False
    """Whether it gives tokens as they are, one source's after the other's."""
    keeps: ClassVar[Keeps] = "all"
    pools: ClassVar[Pools] = "none"
    least: ClassVar[int] = 1
    """Of how many pooled sources at least there must be tokens for anything to be read."""

    of: tuple[Name, ...] = Field(min_length=1)
    """What is fused, in order."""
    through: dict[Name, Path] = Field(default_factory=dict)
    """By stream of these, the steps that its tokens go through first, to the width that is read."""

    @property
    def gives(self) -> Keeps:
        """Whose tokens it gives, as it is written."""
        return self.keeps

    @property
    def reads(self) -> Pools:
        """Which sources every token that it gives reads all of, as it is written."""
        return self.pools

    @property
    def own_tokens(self) -> int:
        """How many tokens of its own it gives."""
        return 0

    @property
    def depth_of_blocks(self) -> int:
        """How many blocks it runs over the tokens of all its sources."""
        return 0

    @property
    def context(self) -> Attention | None:
        """What the first source sees of the others, where it attends to them."""
        return None

    def attending(self, heads: int) -> int | None:
        """The number of its heads in a stream of so many; None: it has none."""
        if "heads" not in type(self).model_fields:
            return None
        own: int | None = getattr(self, "heads", None)
        return own or heads

    def kept(self, sources: tuple[T, ...]) -> tuple[T, ...]:
        """Those of its sources whose tokens it gives."""
        return {"all": sources, "first": sources[:1], "none": ()}[self.gives]

    def pooled(self, sources: tuple[T, ...]) -> tuple[T, ...]:
        """Those of its sources that every token which it gives reads all of."""
        return {"none": (), "all": sources, "others": sources[1:]}[self.reads]

    @classmethod
    def fewest(cls) -> int:
        """How many sources it takes at least."""
        limits = (getattr(x, "min_length", None) for x in cls.model_fields["of"].metadata)
        return next(int(least) for least in limits if least is not None)


class Concat(Fusing):
    """All tokens of all sources, in order."""

    joins = True

    fusion: Literal["concat"] = "concat"


class Gated(Fusing):
    """Each source scaled by a learned softmax gate over the sources present (after GMU, 2017)."""

    pools = "all"
    least = 2

    fusion: Literal["gated"]
    of: tuple[Name, ...] = Field(min_length=2)
    """What is fused, in order."""


class Latents(Fusing):
    """Learned queries attend to all tokens (Perceiver, 2021)."""

    keeps = "none"
    pools = "all"

    fusion: Literal["attention"]
    queries: Size
    """How many learned queries there are, and tokens afterwards."""
    heads: HeadCount | None = None
    """By default the stream's."""

    @property
    def own_tokens(self) -> int:
        """What its queries have read."""
        return self.queries


class CrossAttention(Fusing):
    """The first source attends to the others."""

    keeps = "first"

    fusion: Literal["cross-attention"]
    of: tuple[Name, ...] = Field(min_length=2)
    """The one that attends, then those that it attends to."""
    heads: HeadCount | None = None
    """By default the stream's."""
    attention: Attention = FULL
    """What the first source sees of the others."""

    @property
    def context(self) -> Attention:
        """What the first source sees of the others."""
        return self.attention


class Film(Fusing):
    """The first source scaled and shifted by the mean of the others (FiLM, 2018)."""

    keeps = "first"
    pools = "others"

    fusion: Literal["film"]
    of: tuple[Name, ...] = Field(min_length=2)
    """The one that is scaled and shifted, then those that say how."""


class Transformer(Fusing):
    """Full-attention blocks over all tokens, each source marked by a learned embedding."""

    pools = "all"

    fusion: Literal["transformer"]
    of: tuple[Name, ...] = Field(min_length=2)
    """What is fused, in order."""
    depth: Size = 1
    """Blocks one after the other."""
    heads: HeadCount | None = None
    """By default the stream's."""

    @property
    def depth_of_blocks(self) -> int:
        """Its depth."""
        return self.depth


class Blending(Fusing):
    """Keys of a fusion of one vector h a source: the mean of its tokens, 0 where it has none."""

    keeps = "none"
    pools = "all"

    of: tuple[Name, ...] = Field(min_length=2)
    """What is fused, in order."""
    pool: Literal["all", "others"] = "all"
    """`all`: one token, of all means; `others`: each token of the first, and the others' means."""

    @property
    def gives(self) -> Keeps:
        """The first source's tokens, where they are not pooled."""
        return "none" if self.pool == "all" else "first"

    @property
    def reads(self) -> Pools:
        """As it says."""
        return self.pool

    @property
    def own_tokens(self) -> int:
        """The one of all means."""
        return 1 if self.pool == "all" else 0


class SigmoidGated(Blending):
    """The sum of sources, each times a sigmoid of its own features."""

    fusion: Literal["sigmoid-gated"]


class WeightedSum(Blending):
    """The sum of sources, weighed by a softmax of their scores over those that are there."""

    fusion: Literal["weighted-sum"]


class Bilinear(Blending):
    """A map of the product of sources in a narrow space (low-rank bilinear, Kim et al. 2017)."""

    fusion: Literal["bilinear"]
    rank: Size
    """How many features of each source are multiplied."""


def _refuse_several(text: str) -> None:
    """Raise Refused for several sources in one text: `gated(image, text)`, `image, text`."""
    called = _CALLED.fullmatch(text.strip())
    sources = [part.strip() for part in (called[2] if called else text).split(",")]
    if len(sources) < 2 or not all(sources):
        return
    listed = shortened(", ".join(sources))
    if called is None:
        message, advice = "several sources are a list", f"write [{listed}]"
    else:
        kind = called[1] if called[1] in KINDS else suggest(called[1], KINDS) or "..."
        message = "a fusion is a mapping"
        advice = f"write {{fusion: {kind}, of: [{listed}]}}"
    raise Refused(Diagnostic("MM104", message, help=advice))


def _as_fusion(value: Any) -> Any:
    """`text`, `[text, image]` and `{of: [image], through: ...}` are short for a concat."""
    if isinstance(value, str):
        _refuse_several(value)
        return {"fusion": "concat", "of": (value,)}
    if isinstance(value, tuple | list):
        return {"fusion": "concat", "of": tuple(value)}
    if isinstance(value, Mapping) and {*value} == {"of", "through"}:
        return {**value, "fusion": "concat"}
    if not isinstance(value, Mapping | Fusing):
        message = "`from` names what the stream reads"
        advice = "write a modality, a stream, a list of them, or {fusion: ..., of: [...]}"
        raise Refused(Diagnostic("MM104", message, help=advice))
    return value


KINDS: dict[str, type[Fusing]] = {
    get_args(kind.model_fields["fusion"].annotation)[0]: kind
    for kind in (
        *(Concat, Gated, Latents, CrossAttention, Film, Transformer),
        *(SigmoidGated, WeightedSum, Bilinear),
    )
}
"""Every fusion by its name."""

_Blended = SigmoidGated | WeightedSum | Bilinear
_Mapping = Annotated[
    Concat | Gated | Latents | CrossAttention | Film | Transformer | _Blended,
    Field(discriminator="fusion"),
]
_Written = Name | Annotated[tuple[Name, ...], Field(min_length=1)] | Concat | _Mapping
Fusion = Annotated[
    _Mapping,
    BeforeValidator(_as_fusion, json_schema_input_type=_Written),
]
