"""What a model is given, and the node that makes tokens of it."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.ir.modality import Raw
from mmspec.compiler.ir.sum import Added, Sum
from mmspec.compiler.ir.tokens import Segment, Tokens, Value
from mmspec.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Input:
    """A model input; `longest`: the most tokens or frames, None where all samples are alike;
    added: what else may be given of each of its tokens.
    """

    name: str
    raw: Raw
    longest: int | None
    tokens: Tokens
    optional: bool
    span: Span | None
    added: tuple[Added, ...] = ()

    @property
    def kind(self) -> str:
        """As the language has it."""
        return self.raw.name

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Ints and "B", "T" (tokens), "F" (frames)."""
        return self.raw.shape

    @property
    def dtype(self) -> str:
        """Of its raw values."""
        return self.raw.dtype

    @property
    def area(self) -> int:
        """Tokens of a step: the patches of a frame of a video, else 1."""
        return self.raw.area

    def count(self, raw: int) -> int:
        """Tokens of a sample whose length in frames or tokens is `raw`."""
        return -(-raw // self.raw.step) * self.area


@dataclass(frozen=True, slots=True)
class Embed:
    """Raw modality -> tokens. `module` is its attribute in the emitted model.

    biased: whether the map of raw values has a bias. table: the module of another modality, whose
    table it reads instead of one of its own.
    """

    module: str
    out: Value
    modality: str
    raw: Raw
    sum: Sum
    biased: bool
    stream: str
    span: Span | None
    table: str | None = None

    @property
    def weight(self) -> str:
        """A parameter that it reads, for dtype and device."""
        return f"{self.table or self.module}.{self.raw.weight}"

    @property
    def own(self) -> Segment:
        """The modality's own tokens, which stand last."""
        return self.out.segments[-1]
