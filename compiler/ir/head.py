"""Heads: what is read from a stream, and what it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from mmspec.compiler.ir.objective import Loss, NextToken
from mmspec.compiler.ir.path import Path
from mmspec.compiler.ir.tokens import Value
from mmspec.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Kind:
    """What every head says; its fields are what its part takes of it."""

    name: ClassVar[str]
    """As the language has it."""
    part: ClassVar[str]
    """Its class in `compiler/parts/head.py`."""
    says: ClassVar[str]
    """What it says, of a `size` or a `segment`, and its shape."""
    constant: ClassVar[str] = ""
    """What its `size` is, among the model's constants; "": named by what it reads."""
    variable: ClassVar[str] = "logits"
    """What stands after its name in the variable of what it says."""
    pools: ClassVar[bool] = True
    """Whether all tokens of a stream make one answer."""
    sorts: ClassVar[bool] = False
    """Whether it says a class of a sample."""
    measures: ClassVar[bool] = False
    """Whether it says numbers, not logits."""

    @property
    def path(self) -> Path:
        """Steps before its output."""
        return ()


@dataclass(frozen=True, slots=True)
class Taken:
    """Which tokens of a stream are pooled: those of some segments, those with an id; else all."""

    of: tuple[str, ...] = ()
    mark: int | None = None


EVERY: Final = Taken()


@dataclass(frozen=True, slots=True)
class Pooled(Kind):
    """A linear map of one token of a stream: their mean, the first or the last."""

    part = "PooledHead"
    segment: ClassVar[None] = None
    tied: ClassVar[None] = None

    pool: str
    taken: Taken = EVERY
    through: Path = ()

    @property
    def path(self) -> Path:
        """As it says."""
        return self.through


@dataclass(frozen=True, slots=True)
class Classifier(Pooled):
    """Class logits."""

    name = "classifier"
    constant = "CLASSES"
    sorts = True
    says = "Class logits [B, {size}]."


@dataclass(frozen=True, slots=True)
class Regressor(Pooled):
    """Numbers."""

    name = "regressor"
    constant = "OUTPUTS"
    variable = "predicted"
    measures = True
    says = "Numbers [B, {size}]."


@dataclass(frozen=True, slots=True)
class LanguageModel(Kind):
    """Logits at each token of a segment; `tied`: the module of its embedding, where that is it."""

    name = "language-model"
    part = "LanguageModelHead"
    says = "{what} of {segment} [B, T, {size}]."
    pools = False

    segment: str
    tied: str | None
    scale: float = 1.0
    """What the tokens that it reads are multiplied by."""
    through: Path = ()
    bias: bool = False

    @property
    def path(self) -> Path:
        """As it says."""
        return self.through


@dataclass(frozen=True, slots=True)
class Contrastive(Kind):
    """Similarities of two streams, of each a token or the mean of all."""

    name = "contrastive"
    part = "ContrastiveHead"
    constant = "PROJECTION"
    says = "Similarity of each pair of samples [B, B]."
    segment: ClassVar[None] = None
    tied: ClassVar[None] = None

    temperature: float
    pooling: tuple[str, str] = ("mean", "mean")
    taken: tuple[Taken, Taken] = (EVERY, EVERY)


Answer = Classifier | Regressor | LanguageModel | Contrastive


@dataclass(frozen=True, slots=True)
class Head:
    """What a model says of streams; size: classes, outputs, vocab or width."""

    name: str
    module: str
    answer: Answer
    sources: tuple[Value, ...]
    size: int
    loss: Loss
    weight: float
    span: Span | None

    @property
    def kind(self) -> str:
        """As the language has it."""
        return self.answer.name

    @property
    def says(self) -> str:
        """What it says, and its shape, as a sentence."""
        return self.answer.says.format(size=self.size, segment=self.segment, what=self.loss.logits)

    @property
    def variable(self) -> str:
        """What it says, in the model's `forward`."""
        return f"{self.name}_{self.answer.variable}"

    @property
    def segment(self) -> str | None:
        """The segment that it says the next tokens of, if it does."""
        return self.answer.segment

    @property
    def scale(self) -> float:
        """What the tokens that it reads are multiplied by."""
        return self.answer.scale if isinstance(self.answer, LanguageModel) else 1.0

    @property
    def taken(self) -> tuple[Taken, ...]:
        """Which tokens of each source are pooled; none: they are not."""
        if isinstance(self.answer, Pooled):
            return (self.answer.taken,)
        return self.answer.taken if isinstance(self.answer, Contrastive) else ()

    @property
    def tied(self) -> str | None:
        """Module of the tied token embedding."""
        return self.answer.tied

    @property
    def is_made(self) -> bool:
        """Whether it is a module: one that has no weights but a table of others is not."""
        answer = self.answer
        return answer.tied is None or bool(answer.path) or answer.bias

    @property
    def told(self) -> str:
        """Tokens that carry no loss, as `NextToken` has them."""
        return self.loss.told if isinstance(self.loss, NextToken) else ""
