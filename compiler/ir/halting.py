"""Halting: how deep a sample goes, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Ponder:
    """Up to `at_most` applications of the stack; see docs/language.md."""

    part: ClassVar[str] = "PonderStack"
    words: ClassVar[str] = "pondering"
    unit: ClassVar[str] = "steps"
    decides: ClassVar[str] = "the halting of stream `{stream}` pools {key}"

    at_most: int
    prior: float
    weight: float
    threshold: float

    @property
    def head(self) -> None:
        """It decides by a unit of its own."""
        return None

    def passes(self, depth: int) -> tuple[int, ...]:
        """Numbers of layers; what is decided between two of them is decided from all tokens."""
        return (depth * (self.at_most - 1), depth) if self.at_most > 1 else (depth,)


@dataclass(frozen=True, slots=True)
class Exit:
    """Exits after the blocks in `after` (1-based, the last block included) by `head`."""

    part: ClassVar[str] = "ExitStack"
    words: ClassVar[str] = "early exits"
    unit: ClassVar[str] = "blocks"
    decides: ClassVar[str] = "head `{head}` decides from {key} when stream `{stream}` is left"

    head: str
    threshold: float
    after: tuple[int, ...]

    def passes(self, depth: int) -> tuple[int, ...]:
        """Numbers of layers; what is decided between two of them is decided from all tokens."""
        return (self.after[-2], depth - self.after[-2]) if len(self.after) > 1 else (depth,)


Halting = Ponder | Exit
