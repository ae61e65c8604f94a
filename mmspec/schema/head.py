"""Heads: what is read from a stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmspec.schema.base import Factor, Features, Ids, Model, Positive, Size
from mmspec.schema.names import Name
from mmspec.schema.path import OneStep, Path
from mmspec.schema.pool import Pool


class _Common(Model):
    """What a reader may know of a head without its kind."""

    matches: ClassVar[bool] = False
    """Whether it is trained to find each sample's other side among those of a batch."""
    predicts: ClassVar[bool] = False
    """Whether it says the next token at every token of a segment."""
    of_column: ClassVar[bool] = False
    """Whether it is trained on a column of its own name; else on the inputs themselves."""

    @property
    def size(self) -> int | None:
        """Numbers that it says of a sample; None: so many as what it reads has."""
        return None

    @property
    def labels(self) -> int:
        """Classes that it tells apart; 0: it says something else."""
        return 0

    @property
    def pools(self) -> tuple[str, ...]:
        """How the tokens of each stream that it reads become one; none: they do not."""
        return ()

    @property
    def path(self) -> tuple[OneStep, ...]:
        """Steps before its output."""
        return ()

    @property
    def asked(self) -> str | None:
        """The segment that the spec names for it to predict."""
        return None

    @property
    def is_tied(self) -> bool:
        """Whether it reads the table of what it predicts."""
        return False

    @property
    @abstractmethod
    def caption(self) -> tuple[str, str]:
        """Its kind in words, and what else is worth a few."""


class _Pooled(_Common):
    """Of a stream, whose tokens become one."""

    of_column = True

    pool: Pool = "mean"
    """How the tokens of the stream become one."""
    through: Path = ()
    """Steps that it goes through then, before the output."""

    @property
    def pools(self) -> tuple[str, ...]:
        """Of its one stream."""
        return (self.pool,)

    @property
    def path(self) -> tuple[OneStep, ...]:
        """As it says."""
        return self.through


class Classifier(_Pooled):
    """Class logits [B, classes] from a pooled stream."""

    kind: Literal["classifier"]
    source: Name = Field(alias="from")
    """The stream that it reads."""
    classes: Ids
    """How many there are."""

    @property
    def size(self) -> int:
        """A logit a class."""
        return self.classes

    @property
    def labels(self) -> int:
        """Its classes."""
        return self.classes

    @property
    def caption(self) -> tuple[str, str]:
        """`7 classes, pool mean`."""
        classes = "1 class" if self.classes == 1 else f"{self.classes:,} classes"
        return "classifier", f"{classes}, pool {self.pool}"


class Regressor(_Pooled):
    """Numbers [B, outputs] from a pooled stream."""

    kind: Literal["regressor"]
    source: Name = Field(alias="from")
    """The stream that it reads."""
    outputs: Size
    """Numbers that it says."""

    @property
    def size(self) -> int:
        """Its outputs."""
        return self.outputs

    @property
    def caption(self) -> tuple[str, str]:
        """`3 outputs, pool mean`."""
        many = "s" * (self.outputs != 1)
        return "regressor", f"{self.outputs:,} output{many}, pool {self.pool}"


class LanguageModel(_Common):
    """Logits [B, T, vocab] of a tokens segment: of its next tokens, or of hidden ones."""

    predicts = True

    kind: Literal["language-model"]
    source: Name = Field(alias="from")
    """The stream that it reads."""
    modality: Name | None = None
    """Whose tokens it predicts; by default the only tokens of the stream."""
    tied: bool = True
    """Whether its weights are the table of the tokens."""
    scale: Factor = 1.0
    """What its logits are multiplied by."""
    through: Path = ()
    """Steps that tokens go through before the output."""
    bias: bool = False
    """Whether a number is added to the logits of each id."""

    @property
    def asked(self) -> str | None:
        """Its `modality`."""
        return self.modality

    @property
    def path(self) -> tuple[OneStep, ...]:
        """As it says."""
        return self.through

    @property
    def is_tied(self) -> bool:
        """As it says."""
        return self.tied

    @property
    def caption(self) -> tuple[str, str]:
        """Whether it is tied."""
        return "language model", "tied to the embedding" if self.tied else "untied"


class Contrastive(_Common):
    """Similarities [B, B] of two pooled streams (CLIP, 2021)."""

    matches = True

    kind: Literal["contrastive"]
    source: tuple[Name, Name] = Field(alias="from")
    """The two streams that it compares."""
    width: Features
    """Features in which they are compared."""
    temperature: Positive = 0.07
    """What similarities are divided by at first."""
    pool: Pool | dict[Name, Pool] = "mean"
    """How the tokens of a stream become one, or by stream."""

    @property
    def pools(self) -> tuple[str, ...]:
        """Of both streams; `mean` where one is not named."""
        if isinstance(self.pool, str):
            return (self.pool,) * len(self.source)
        return tuple(self.pool.get(name, "mean") for name in self.source)

    @property
    def caption(self) -> tuple[str, str]:
        """`width 64`."""
        return "contrastive", f"width {self.width}"


Head = Annotated[Classifier | Regressor | LanguageModel | Contrastive, Field(discriminator="kind")]


def sources(head: Head) -> tuple[str, ...]:
    """The streams a head reads."""
    return head.source if isinstance(head.source, tuple) else (head.source,)


def predicted(head: Head, segments: Sequence[str]) -> str | None:
    """Of the segments of ids that a head reads the one it predicts; None: none, or not one."""
    if not head.predicts:
        return None
    if head.asked is not None:
        return head.asked if head.asked in segments else None
    return segments[0] if len(segments) == 1 else None
