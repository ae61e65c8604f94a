"""Heads: what is read from a stream."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmspec.schema.base import Model, Positive, Size
from mmspec.schema.names import Name

Pool = Literal["mean", "first", "last"]


class _Common(Model):
    """What a reader may know of a head without its kind."""

    matches: ClassVar[bool] = False
    """Whether it is trained to find each sample's other side among those of a batch."""


class Classifier(_Common):
    """Class logits [B, classes] from a pooled stream."""

    kind: Literal["classifier"]
    source: Name = Field(alias="from")
    classes: Size
    pool: Pool = "mean"


class Regressor(_Common):
    """Numbers [B, outputs] from a pooled stream."""

    kind: Literal["regressor"]
    source: Name = Field(alias="from")
    outputs: Size
    pool: Pool = "mean"


class LanguageModel(_Common):
    """Next-token logits [B, T, vocab] of a tokens segment."""

    kind: Literal["language-model"]
    source: Name = Field(alias="from")
    modality: Name | None = None
    tied: bool = True


class Contrastive(_Common):
    """Similarities [B, B] of two pooled streams (CLIP, 2021)."""

    matches = True

    kind: Literal["contrastive"]
    source: tuple[Name, Name] = Field(alias="from")
    width: Size
    temperature: Positive = 0.07


Head = Annotated[Classifier | Regressor | LanguageModel | Contrastive, Field(discriminator="kind")]


def sources(head: Classifier | Regressor | LanguageModel | Contrastive) -> tuple[str, ...]:
    """The streams a head reads."""
    return head.source if isinstance(head.source, tuple) else (head.source,)
