"""Scores of attention: what q · k becomes before the softmax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import mask as masks
from mmspec.expressions import words
from mmspec.schema import choice
from mmspec.schema.base import Factor, Model, Positive, Refused, Size, parsed
from mmspec.schema.norm import KINDS as OTHER_NORMS
from mmspec.schema.norm import Normed

_MOST: Final = 256
"""Ranges of distances: their ends are constants of the package."""


class Relating(Model):
    """What a reader may know of a relative score without its name."""

    learns: ClassVar[bool] = False
    """Whether it has weights."""

    @classmethod
    def name(cls) -> str:
        """What the language calls it."""
        word: str = get_args(cls.model_fields["kind"].annotation)[0]
        return word

    @property
    def caption(self) -> str:
        """`buckets(32, 128)`."""
        numbers = [str(value) for key, value in self if key != "kind"]
        return f"{self.name()}({', '.join(numbers)})" if numbers else self.name()


class Alibi(Relating):
    """Less the distance of two tokens, times a slope of the head (Press et al. 2022)."""

    kind: Literal["alibi"] = "alibi"


class Buckets(Relating):
    """A learned number of each head for ranges of distances (Raffel et al. 2020)."""

    learns = True

    kind: Literal["buckets"]
    count: Size = 32
    """Ranges on all sides together; half of a side's hold one distance each."""
    reach: Annotated[Size, Field(examples=[128])] = 128
    """The distance from which on all fall into the last."""
    sides: Literal[1, 2] = 2
    """2: keys that come later have ranges of their own; 1: they all fall into the first."""

    @model_validator(mode="after")
    def _ranges_grow(self) -> Buckets:
        if self.count % self.sides:
            message = f"{self.count} ranges do not fall into two sides"
            advice = f"write count={self.count + 1}, or sides=1"
            raise Refused(Diagnostic("MM105", message, help=advice), "count")
        if self.count > _MOST:
            message = f"at most {_MOST} ranges, not {self.count:,}"
            advice = "write count=32, or `offsets(reach)` for a number of each distance"
            raise Refused(Diagnostic("MM105", message, help=advice), "count")
        near = self.count // self.sides // 2
        if near < 1:
            message = f"{self.count} ranges leave none that grows"
            advice = f"write count={2 * self.sides} or more"
            raise Refused(Diagnostic("MM105", message, help=advice), "count")
        if self.reach <= near:
            message = f"{near} ranges hold one distance each, and reach is {self.reach}"
            advice = f"write reach={4 * near}, or a smaller count"
            raise Refused(Diagnostic("MM105", message, help=advice), "reach")
        return self


class Offsets(Relating):
    """A learned number of each head for each distance (Shaw et al. 2018, Liu et al. 2021)."""

    learns = True

    kind: Literal["offsets"]
    reach: Annotated[Size, Field(examples=[64])]
    """The distance from which on all have that one's number."""


KINDS: dict[str, type[Relating]] = {kind.name(): kind for kind in (Alibi, Buckets, Offsets)}
"""Every relative score by its name."""


TAGS = ("for-all", "by-pair")
"""What places of errors have beside the keys of a spec."""


def _named(value: Any) -> Any:
    """A word is short for a kind."""
    if not isinstance(value, str | Mapping | Model):
        raise ValueError("a relative score is a word; write `alibi`, or {text -> text: alibi}")
    return choice.called("relative", KINDS, value) if isinstance(value, str) else value


def _by_pair(value: Any) -> Any:
    """The kinds by pair, each pair written in one way."""
    found: dict[str, Any] = {}
    for key, kind in value.items() if isinstance(value, Mapping) else ():
        pair = " -> ".join(parsed(masks.parse_pair, str(key), str(key)))
        if pair in found:
            message = f"the pair `{pair}` stands twice"
            raise Refused(Diagnostic("MM223", message, help="keep one of them"), key, text=key)
        found[pair] = kind
    return found


def _said(value: Any) -> str:
    return TAGS[isinstance(value, Mapping) and "kind" not in value]


Relative = Annotated[
    Annotated[Alibi | Buckets | Offsets, Field(discriminator="kind")],
    BeforeValidator(_named, json_schema_input_type=choice.written(KINDS)),
]
ByPair = Annotated[dict[str, Relative], Field(min_length=1), BeforeValidator(_by_pair)]


class HeadNorm(Model):
    """A norm of queries and of keys, before they are turned by their positions."""

    kind: Literal["rms", "layer"]
    eps: Positive = 1e-5
    """Added under the root."""
    offset: Literal[1] | None = None
    """1: weights are kept as what they are more than 1."""
    over: Literal["head", "heads"] = "head"
    """Whether of the features of each head, or of those of all heads at once."""

    @property
    def norm(self) -> Normed:
        """As any other norm."""
        found: Normed = OTHER_NORMS[self.kind](kind=self.kind, eps=self.eps, offset=self.offset)
        return found


NORMS: dict[str, type[HeadNorm]] = choice.by_name(HeadNorm)
"""Every norm of queries and keys by its name."""


class Scores(Model):
    """Keys of `scores`; one that is left out changes nothing."""

    qk_norm: Annotated[HeadNorm, choice.reader("qk_norm", NORMS)] | None = None
    """A norm of queries and keys, before they are turned."""
    scale: Factor | None = None
    """What q k is multiplied by; by default 1 / sqrt(head width)."""
    sink: bool = False
    """Whether a learned score of each head joins the softmax, with the value 0."""
    relative: (
        Annotated[
            Annotated[Relative, Tag(TAGS[0])] | Annotated[ByPair, Tag(TAGS[1])],
            Discriminator(_said),
        ]
        | None
    ) = None
    """What is added by how far two tokens stand apart: for all, or by pair."""
    tied: bool = False
    """Whether all layers have the same numbers of what is learned for distances."""

    @model_validator(mode="before")
    @classmethod
    def _keyed(cls, value: Any) -> Any:
        if isinstance(value, str) and words.meant(value, KINDS):
            raise ValueError(f"`{value}` is a relative score; write `scores: {{relative: alibi}}`")
        return value

    @model_validator(mode="after")
    def _shares_weights(self) -> Scores:
        if self.tied and not any(kind.learns for kind in self.kinds()):
            message = "nothing is learned here that layers could share"
            advice = "remove `tied`, or write `relative: buckets(32)`"
            raise Refused(Diagnostic("MM105", message, help=advice), "tied")
        return self

    @property
    def caption(self) -> str:
        """`scores: rms, alibi, sink`, what is said of them."""
        norm = [self.qk_norm.kind] if self.qk_norm else []
        scale = [f"scale {self.scale:g}"] if self.scale is not None else []
        kinds = dict.fromkeys(kind.caption for kind in self.kinds())
        sink = ["sink"] if self.sink else []
        said = [*norm, *scale, *kinds, *(["tied"] if self.tied else []), *sink]
        return f"scores: {', '.join(said)}" if said else ""

    @property
    def pairs(self) -> dict[tuple[str, str], Relating] | None:
        """Relative scores by pair of segments; None: they are not said by pair."""
        if not isinstance(self.relative, dict):
            return None
        return {masks.parse_pair(pair): kind for pair, kind in self.relative.items()}

    def between(self, query: str, key: str) -> Relating | None:
        """The relative score of the tokens of two segments, which may be one."""
        pairs = self.pairs
        if pairs is not None:
            return pairs.get((query, key))
        assert not isinstance(self.relative, dict)
        return self.relative if query == key else None

    def kinds(self) -> Iterable[Relating]:
        """Each relative score that is said."""
        if isinstance(self.relative, dict):
            return self.relative.values()
        return () if self.relative is None else (self.relative,)
