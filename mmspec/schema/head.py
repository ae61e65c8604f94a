"""Heads: what is read from a stream."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmspec.schema.base import Model, Positive, Size
from mmspec.schema.names import Name

Pool = Literal["mean", "first", "last"]


class Classifier(Model):
    """Class logits [B, classes] from a pooled stream."""

    kind: Literal["classifier"]
    source: Name = Field(alias="from")
    classes: Size
    pool: Pool = "mean"


class Regressor(Model):
    """Numbers [B, outputs] from a pooled stream."""

    kind: Literal["regressor"]
    source: Name = Field(alias="from")
    outputs: Size
    pool: Pool = "mean"


class LanguageModel(Model):
    """Next-token logits [B, T, vocab] of a tokens segment."""

    kind: Literal["language-model"]
    source: Name = Field(alias="from")
    modality: Name | None = None
    tied: bool = True


class Contrastive(Model):
    """Similarities [B, B] of two pooled streams (CLIP, 2021)."""

    kind: Literal["contrastive"]
    source: tuple[Name, Name] = Field(alias="from")
    width: Size
    temperature: Positive = 0.07


Head = Annotated[Classifier | Regressor | LanguageModel | Contrastive, Field(discriminator="kind")]


def sources(head: Classifier | Regressor | LanguageModel | Contrastive) -> tuple[str, ...]:
    """The streams a head reads."""
    return head.source if isinstance(head.source, tuple) else (head.source,)
