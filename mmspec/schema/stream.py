"""Streams: stacks of blocks over a sequence of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.base import (
    Depth,
    Features,
    Fraction01,
    HeadCount,
    HeadWidth,
    Model,
    Refused,
    Size,
    nearest_divisor,
)
from mmspec.schema.bias import Bias, Role, has_bias
from mmspec.schema.block import OWN, AttentionEntry, Block, CrossEntry, ParallelEntry, walked
from mmspec.schema.fusion import Fusion
from mmspec.schema.halting import Halting
from mmspec.schema.names import Name, VariantName
from mmspec.schema.norm import FinalNorm, LayerNorm, NoNorm, Norm, Normed, ends, inherited, misfit
from mmspec.schema.rotary import Rotary, RotaryChoice
from mmspec.schema.routing import FeedForward, Mlp
from mmspec.schema.scale import Gate, LayerScale
from mmspec.schema.scores import Scores
from mmspec.schema.variants import Runs, ordered

_DEEPEST: Final = 10_000
"""Blocks of a stream: each becomes a module."""


class Stream(Model):
    """A stack of `depth` blocks of `width` over the tokens that `source` gives."""

    source: Fusion = Field(alias="from")
    """A modality, a stream, a list of them, or a fusion of them."""
    depth: Depth
    """Blocks one after the other."""
    width: Features
    """Features of a token."""
    heads: HeadCount
    """Query heads."""
    kv_heads: HeadCount = 0
    """Key heads, among which the query heads are shared; by default as many as those."""
    head_width: HeadWidth = 0
    """Features of a head; by default width / heads."""
    block: Block = ()
    """What a layer does, in order; by default `[attention, feed_forward]`."""
    attention: Attention = FULL
    """Who sees whom."""
    scores: Scores | None = None
    """What q k becomes before the softmax."""
    rotary: RotaryChoice | None = None
    """How tokens with rotary positions turn, or `none`."""
    feed_forward: FeedForward = Mlp.model_construct()
    """What each token goes through after attention."""
    norm: Norm = LayerNorm.model_construct()
    """The norm of each sub-layer."""
    final_norm: FinalNorm = True
    """The norm after the last block: whether there is one, or which."""
    bias: Bias = True
    """Whether linears and norms have biases: all, none, or by role."""
    dropout: Fraction01 = 0.0
    """Of what attention and feed-forward add, in training."""
    halting: Halting | None = None
    """How many blocks a sample goes through, where it may leave early."""
    variants: dict[VariantName, Stream] = Field(default_factory=dict)
    """Kinds of layers by name: each has the keys of the stream but those that it gives."""
    layers: Runs = ()
    """Which layer is of which variant: `local*5`, `global`, `dense*rest`."""
    repeat: Size | None = None
    """How often the layers are applied, with the same weights."""
    like: Name | None = None
    """Another stream, whose keys this one has where it gives none."""

    @property
    def kinds(self) -> tuple[tuple[str, Stream], ...]:
        """Its kinds of layers by name; where all are alike, itself."""
        return tuple(self.variants.items()) or (("", self),)

    @property
    def sublayers(self) -> tuple[Sublayer, ...]:
        """What a layer does, in order, where all layers are alike."""
        if not self.block:
            return (
                Sublayer("attention", "attention", self),
                Sublayer("feed_forward", "feed_forward", self),
            )
        return tuple(self._sublayers())

    def _sublayers(self) -> Iterator[Sublayer]:
        names: dict[str, str] = {}
        for name, entry, at, around in walked(self.block):
            if isinstance(entry, ParallelEntry):
                names[str(at)] = name
                continue
            settings = {key: getattr(entry, key) for key in OWN[entry.word]}
            if isinstance(entry, CrossEntry):
                settings |= {"attention": FULL, "rotary": "none"}
            one = Sublayer(name, entry.word, self.model_copy(update=settings), at, entry.scale)
            if isinstance(entry, CrossEntry):
                one = replace(one, cross=entry.cross, norm_keys=entry.norm_keys)
            if around is not None:
                first, last = at[-1] == 0, at[-1] == len(around.parallel) - 1
                shared = names[str(at[:2])] if around.norm == "shared" else ""
                one = replace(one, joins=not first, awaits=not last, shared=shared)
                one = replace(one, normed=self) if shared else one
            yield one

    @property
    def attentions(self) -> tuple[Sublayer, ...]:
        """The sub-layers in which its tokens read one another, where all layers are alike."""
        return tuple(one for one in self.sublayers if one.word == "attention")

    @property
    def crosses(self) -> tuple[Sublayer, ...]:
        """The sub-layers in which its tokens read another stream's, where all layers are alike."""
        return tuple(one for one in self.sublayers if one.word == "cross")

    @property
    def feed_forwards(self) -> tuple[Sublayer, ...]:
        """The sub-layers in which each token is by itself, where all layers are alike."""
        return tuple(one for one in self.sublayers if one.word == "feed_forward")

    @property
    def every(self) -> Iterator[Sublayer]:
        """The sub-layers of all its kinds of layers; where each stands is said below the stream."""
        for name, kind in self.kinds:
            for one in kind.sublayers:
                yield replace(one, at=(*(("variants", name) if name else ()), *one.at))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Which of its kinds its layers are, again and again until there are `depth`."""
        if not self.variants:
            return (0,) if self.depth else ()
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
        return {**value, "final_norm": ends(norm)}

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
        usual = {"attention": FULL}
        for key in ("attention", "block", "variants", "repeat", "halting"):
            if self.depth == 0 and getattr(self, key) not in (usual.get(key), None, (), {}):
                message = f"`{key}` is of layers, and the stream has none"
                advice = f"remove `{key}`, or write a `depth`"
                raise Refused(Diagnostic("MM105", message, help=advice), key)
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
        _fit_heads(self, self.width)
        return self

    @model_validator(mode="after")
    def _block_fits(self) -> Stream:
        names = dict[str, tuple[str | int, ...]]()
        for name, entry, at, around in walked(self.block):
            if name in names:
                message = f"two sub-layers of a layer are called `{name}`"
                advice = "give one of them another `name`"
                raise Refused(Diagnostic("MM329", message, help=advice), *at)
            names[name] = at
            if isinstance(entry, ParallelEntry):
                continue
            if isinstance(entry, AttentionEntry | CrossEntry):
                _fit_heads(entry, self.width, *at)
            _fit_norm(entry.norm, self.width, at)
            if around is not None:
                _fit_parallel(entry.norm, self.norm, around, at)
        return self


def _fit_heads(of: Stream | AttentionEntry | CrossEntry, width: int, *at: str | int) -> None:
    """Put in what follows of heads from their number; raises Refused, at the keys of what it is."""
    if not of.head_width and width % of.heads:
        message = f"width {width} is not a multiple of heads {of.heads}"
        advice = f"{nearest_divisor(width, of.heads)} heads fit; or give head_width"
        raise Refused(Diagnostic("MM105", message, help=advice), *at, "heads")
    kv_heads = of.kv_heads or of.heads
    if of.heads % kv_heads:
        message = f"heads {of.heads} is not a multiple of kv_heads {kv_heads}"
        advice = f"{nearest_divisor(of.heads, kv_heads)} kv_heads fit"
        raise Refused(Diagnostic("MM105", message, help=advice), *at, "kv_heads")
    object.__setattr__(of, "kv_heads", kv_heads)
    object.__setattr__(of, "head_width", of.head_width or width // of.heads)


def _fit_norm(norm: Norm, width: int, at: tuple[str | int, ...]) -> None:
    """Raise Refused where the norm of a sub-layer does not go with the width."""
    if wrong := misfit(norm, width):
        raise Refused(wrong.diagnostic, *at, *wrong.keys)


def _fit_parallel(
    norm: Norm, whole: Norm, around: ParallelEntry, at: tuple[str | int, ...]
) -> None:
    """Raise Refused where sub-layers cannot read the same tokens by these norms."""
    if around.norm == "shared" and norm != whole:
        message = "what shares a norm with others has none of its own"
        advice = "remove `norm` here, or `norm: shared`"
        raise Refused(Diagnostic("MM329", message, help=advice), *at, "norm")
    if around.norm == "shared" and norm.placement != "pre":
        message = "a norm that several share stands before them, and this has none there"
        advice = "remove `norm: shared`, or let `placement` be pre"
        raise Refused(Diagnostic("MM329", message, help=advice), *at, "norm")
    if norm.placement == "post":
        message = "sub-layers in parallel are added as one, so none of them norms the sum"
        advice = "choose another `placement`: pre, sandwich or branch"
        raise Refused(Diagnostic("MM329", message, help=advice), *at, "norm")


@dataclass(frozen=True, slots=True)
class Sublayer:
    """One of a layer's sub-layers: x + scale * f(x), with the norms of its settings.

    at: the keys of its entry below its stream, none where the spec has no `block`.
    """

    name: str
    word: Literal["attention", "cross", "feed_forward"]
    of: Stream
    """Its stream, or kind of layers, with what its entry says in place of what that says."""
    at: tuple[str | int, ...] = ()
    scale: float | LayerScale | Gate = 1.0
    joins: bool = False
    """Whether it reads what the one before it reads, and its result is added to that one's."""
    awaits: bool = False
    """Whether the one after it joins."""
    shared: str = ""
    """The name of those with which it has its norm in common; "": it has its own."""
    normed: Stream | None = None
    """Where the norm that it shares is said, with its bias; None: where it is."""
    cross: str = ""
    """The stream whose tokens it reads, if it is a `cross`."""
    norm_keys: bool = False
    """Whether these are normed first."""
