"""Scores of attention: what q · k becomes before the softmax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import mask as masks
from mmspec.expressions import words
from mmspec.schema import choice
from mmspec.schema.base import Factor, Model, Positive, Refused, parsed
from mmspec.schema.norm import KINDS as OTHER_NORMS
from mmspec.schema.norm import Normed


class Relating(Model):
    """What a reader may know of a relative score without its name."""

    @classmethod
    def name(cls) -> str:
        """What the language calls it."""
        word: str = get_args(cls.model_fields["kind"].annotation)[0]
        return word


class Alibi(Relating):
    """Less the distance of two tokens, times a slope of the head (Press et al. 2022)."""

    kind: Literal["alibi"] = "alibi"


KINDS: dict[str, type[Relating]] = {kind.name(): kind for kind in (Alibi,)}
"""Every relative score by its name."""


TAGS = ("for-all", "by-pair")
"""What places of errors have beside the keys of a spec."""


def _named(value: Any) -> Any:
    """A word is short for a kind."""
    if not isinstance(value, str | Mapping | Model):
        raise ValueError("a relative score is a word; write `alibi`, or {text -> text: alibi}")
    return {"kind": value} if isinstance(value, str) else value


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


_Written: Any = Alibi | Literal[tuple(KINDS)]
Relative = Annotated[Alibi, BeforeValidator(_named, json_schema_input_type=_Written)]
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

    @model_validator(mode="before")
    @classmethod
    def _keyed(cls, value: Any) -> Any:
        if isinstance(value, str) and words.meant(value, KINDS):
            raise ValueError(f"`{value}` is a relative score; write `scores: {{relative: alibi}}`")
        return value

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
