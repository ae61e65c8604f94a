"""What a model is given, and how its raw values become tokens."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.ir.tokens import Tokens, Value
from mmspec.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Input:
    """A model input; shape holds ints and "B", "T" (tokens), "F" (frames); `longest`: of T or F."""

    name: str
    kind: str
    shape: tuple[int | str, ...]
    longest: int | None
    dtype: str
    tokens: Tokens
    patch: int
    """Frames (or tokens) of a step."""
    area: int
    """Tokens of a step: the patches of a frame of a video, else 1."""
    optional: bool
    span: Span | None

    def count(self, raw: int) -> int:
        """Tokens of a sample whose length in frames or tokens is `raw`."""
        return -(-raw // self.patch) * self.area


@dataclass(frozen=True, slots=True)
class Embed:
    """Raw modality -> tokens. `module` is its attribute in the emitted model."""

    module: str
    out: Value
    modality: str
    kind: str
    position: str
    features: int
    """vocab (tokens), channels (image, video), features (audio, series), columns (table)."""
    patch: int
    tubelet: int
    grid: tuple[int, int] | None
    columns: tuple[int, ...]
    """table: 0 for a number column, the number of categories otherwise."""
    stream: str
    span: Span | None
