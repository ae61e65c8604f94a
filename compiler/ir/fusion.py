"""Fusions: several sources, already of one width, become one value.

A fusion is a record of its sizes, and says what others ask of it: which sources' tokens it keeps,
what these read (`readings`), its part, its sites of attention, and the statistics it gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from mmspec.compiler.ir.attention import Attention
from mmspec.compiler.ir.reading import Pool, Reading
from mmspec.compiler.ir.stream import Block
from mmspec.compiler.ir.tokens import Value
from mmspec.diagnostics import Span

Keeps = Literal["all", "first", "none"]
"""Whose tokens a fusion gives: all sources', the first one's, or tokens of its own."""


@dataclass(frozen=True, slots=True)
class Once:
    """What decoding keeps where what a fusion pools is there before the first token.

    layer: of the part; what it gives, a row a sample, is all that tokens read. step: the function
    of `compiler/parts/decoding.py` that applies it to the next ones.
    """

    layer: str
    step: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What every fusion says; a new one overrides what is otherwise with it."""

    name: ClassVar[str]
    """As the language has it."""
    part: ClassVar[str | None] = None
    """Its class in `compiler/parts/fusion.py`; None: it has no parameters and joins tokens."""
    keeps: ClassVar[Keeps] = "all"
    statistics: ClassVar[tuple[str, ...]] = ()
    """What its part gives besides tokens, by name."""
    once: ClassVar[Once | None] = None
    """None: each token has to read what is pooled again."""

    @property
    def gives(self) -> Keeps:
        """Whose tokens it gives, by its numbers."""
        return self.keeps

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Its sites of attention, in order."""
        return ()

    @property
    def layers(self) -> int:
        """How many blocks its tokens pass."""
        return 0

    @property
    def constants(self) -> tuple[tuple[str, int], ...]:
        """Sizes of its own, by what they are called in packages."""
        return ()

    def readings(self, node: Fuse) -> Iterator[Reading]:
        """What the tokens that it gives read of others, in order."""
        return iter(self.attentions)


@dataclass(frozen=True, slots=True)
class Concat(Kind):
    """All sources' tokens, one after the other."""

    name = "concat"


@dataclass(frozen=True, slots=True)
class Gated(Kind):
    """Each source scaled by a softmax gate, made from the means of all."""

    name = "gated"
    part = "GatedFusion"
    statistics = ("gates",)

    def readings(self, node: Fuse) -> Iterator[Reading]:
        """The gates are of the means; the gate of a source alone is 1."""
        yield Pool(f"the gates of stream `{node.stream}` pool {{key}}", node.sources, several=True)


@dataclass(frozen=True, slots=True)
class Attending(Kind):
    """A fusion whose tokens read the sources at one site."""

    attention: Attention

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """That site."""
        return (self.attention,)


@dataclass(frozen=True, slots=True)
class Latents(Attending):
    """Learned queries read all sources."""

    name = "attention"
    part = "AttentionFusion"
    keeps = "none"

    queries: int

    @property
    def constants(self) -> tuple[tuple[str, int], ...]:
        """How many queries."""
        return (("LATENTS", self.queries),)

    def readings(self, node: Fuse) -> Iterator[Reading]:
        """Every query sees everything."""
        yield Pool(f"the queries of stream `{node.stream}` see {{key}}", node.sources)


@dataclass(frozen=True, slots=True)
class CrossAttention(Attending):
    """The first source reads the others."""

    name = "cross-attention"
    part = "CrossAttentionFusion"
    keeps = "first"


@dataclass(frozen=True, slots=True)
class Film(Kind):
    """The first source, scaled and shifted by the mean of the others."""

    name = "film"
    part = "FilmFusion"
    keeps = "first"
    once = Once("modulation", "next_modulated")

    def readings(self, node: Fuse) -> Iterator[Reading]:
        """The scale and shift of every token are made from all tokens of the others."""
        yield Pool(f"the scale and shift of stream `{node.stream}` pool {{key}}", node.others)


@dataclass(frozen=True, slots=True)
class Transformer(Kind):
    """Blocks over all tokens, each source marked."""

    name = "transformer"
    part = "TransformerFusion"

    block: Block
    depth: int

    @property
    def layers(self) -> int:
        """Its own."""
        return self.depth

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Of each block."""
        return self.block.attentions * self.depth


@dataclass(frozen=True, slots=True)
class Blend(Kind):
    """One vector a source: the means of all; else the others' means, beside the first's tokens."""

    keeps = "none"

    pooled: bool

    @property
    def gives(self) -> Keeps:
        """A token of its own, of means alone."""
        return "none" if self.pooled else "first"

    def readings(self, node: Fuse) -> Iterator[Reading]:
        """The means."""
        yield Pool(
            f"the {self.name} fusion of stream `{node.stream}` pools {{key}}",
            node.sources if self.pooled else node.others,
        )


@dataclass(frozen=True, slots=True)
class SigmoidGated(Blend):
    """The sum of sources, each times a gate of its own features."""

    name = "sigmoid-gated"
    part = "SigmoidGatedFusion"


@dataclass(frozen=True, slots=True)
class WeightedSum(Blend):
    """The sum of sources, weighed by a softmax over them."""

    name = "weighted-sum"
    part = "WeightedSumFusion"


@dataclass(frozen=True, slots=True)
class Bilinear(Blend):
    """The product of sources in a narrow space."""

    name = "bilinear"
    part = "BilinearFusion"

    rank: int

    @property
    def constants(self) -> tuple[tuple[str, int], ...]:
        """How many features are multiplied."""
        return (("RANK", self.rank),)


Blended = SigmoidGated | WeightedSum | Bilinear
Fusion = Concat | Gated | Latents | CrossAttention | Film | Transformer | Blended


def named(name: str) -> Fusion:
    """A fusion that has no sizes of its own, by its name in the language."""
    found: Fusion = next(kind for kind in get_args(Fusion) if kind.name == name)()
    return found


@dataclass(frozen=True, slots=True)
class Fuse:
    """Sources -> one value; `module` is None for a fusion without parameters."""

    module: str | None
    out: Value
    fusion: Fusion
    sources: tuple[Value, ...]
    stream: str
    span: Span | None

    @property
    def kept(self) -> tuple[Value, ...]:
        """The sources whose tokens it gives."""
        return {"all": self.sources, "first": self.sources[:1], "none": ()}[self.fusion.gives]

    @property
    def others(self) -> tuple[Value, ...]:
        """The sources whose tokens it does not give, if it gives any source's."""
        return self.sources[len(self.kept) :]

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Its sites of attention, in order."""
        return self.fusion.attentions

    @property
    def pooled(self) -> tuple[Value, ...]:
        """The sources all of whose tokens each token that leaves it depends on."""
        found: list[Value] = []
        for reading in self.readings():
            if isinstance(reading, Attention):
                found += self.sources if reading.own else ()
            elif reading.is_read:
                found += reading.values
        return tuple(dict.fromkeys(found))

    def readings(self) -> Iterator[Reading]:
        """What the tokens that it gives read of others, in order."""
        return self.fusion.readings(self)
