"""Halting: how deep a sample goes, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Kind:
    """What every halting says; a new one overrides what is otherwise with it."""

    part: ClassVar[str]
    words: ClassVar[str]
    unit: ClassVar[str]
    """What a sample goes through: it stops after one."""
    decides: ClassVar[str]
    statistics: ClassVar[tuple[tuple[str, str], ...]]
    """What its part gives besides tokens: names, and variables of the model's `forward`."""
    every: ClassVar[bool] = False
    """Whether its part gives the states of all places where a sample may stop."""

    @property
    def penalty(self) -> tuple[str, str, float] | None:
        """An auxiliary loss: its name, an expression of the variables, its weight."""
        return None


@dataclass(frozen=True, slots=True)
class Ponder(Kind):
    """Up to `at_most` applications of the stack; see docs/language.md."""

    part = "PonderStack"
    words = "pondering"
    unit = "steps"
    decides = "the halting of stream `{stream}` pools {key}"
    statistics = (("halting", "halting_bn"), ("steps", "steps_b"))

    at_most: int
    prior: float
    weight: float
    threshold: float

    @property
    def head(self) -> None:
        """It decides by a unit of its own."""
        return None

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most units that a sample goes through."""
        return 1, self.at_most

    @property
    def penalty(self) -> tuple[str, str, float] | None:
        """Of halting otherwise than the prior has it."""
        called = f"ponder_penalty(halting_bn, {self.prior!r})"
        return ("ponder", called, self.weight) if self.weight else None

    def passes(self, depth: int) -> tuple[int, ...]:
        """Numbers of layers; what is decided between two of them is decided from all tokens."""
        return (depth * (self.at_most - 1), depth) if self.at_most > 1 else (depth,)


@dataclass(frozen=True, slots=True)
class Exit(Kind):
    """Exits after the blocks in `after` (1-based, the last block included) by `head`."""

    part = "ExitStack"
    words = "early exits"
    unit = "blocks"
    decides = "head `{head}` decides from {key} when stream `{stream}` is left"
    statistics = (("depth", ""),)
    every = True

    head: str
    threshold: float
    after: tuple[int, ...]

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most units that a sample goes through."""
        return self.after[0], self.after[-1]

    def passes(self, depth: int) -> tuple[int, ...]:
        """Numbers of layers; what is decided between two of them is decided from all tokens."""
        return (self.after[-2], depth - self.after[-2]) if len(self.after) > 1 else (depth,)


Halting = Ponder | Exit
