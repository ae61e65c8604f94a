"""Halting: how deep a sample goes, and what decides it.

A halting is a record of its numbers, and says what others ask of it: its part, how often the
layers run at most, after how many a sample may leave, what decides from what, and what its part
gives besides tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Kind:
    """What every halting says; a new one overrides what is otherwise with it."""

    name: ClassVar[str]
    """As the language has it."""
    part: ClassVar[str]
    """Its class in `compiler/parts/halting.py`."""
    words: ClassVar[str]
    """What it is called in a sentence."""
    unit: ClassVar[str] = "steps"
    """What is counted of a sample: steps (all layers once more) or blocks."""
    decides: ClassVar[str] = "the halting of stream `{stream}` pools {key}"
    statistics: ClassVar[tuple[tuple[str, str], ...]] = (
        ("halting", "halting_bn"),
        ("steps", "steps_b"),
    )
    """What its part gives besides tokens: names, and variables of the model's `forward`."""
    every: ClassVar[bool] = False
    """Whether its part gives the states of all places where a sample may stop."""

    @property
    def decider(self) -> str | None:
        """The head that decides; None: a unit of its own."""
        return None

    @property
    def most_steps(self) -> int:
        """How often the layers run at most; in training they do."""
        return 1

    def leaves(self, depth: int) -> tuple[int, ...]:
        """How far a sample may go, in `unit`, the least first."""
        return tuple(range(1, self.most_steps + 1))

    def passes(self, depth: int) -> tuple[int, ...]:
        """Numbers of layers; what is decided between two of them is decided from all tokens."""
        most = self.most_steps
        return (depth * (most - 1), depth) if most > 1 else (depth,)

    @property
    def penalty(self) -> tuple[str, str, float] | None:
        """An auxiliary loss: its name, an expression of the variables, its weight."""
        return None


@dataclass(frozen=True, slots=True)
class Stepping(Kind):
    """Up to `at_most` applications of the stack; see docs/language.md."""

    soft: ClassVar[bool]
    """Whether a step's probability is of what is left, and training stops no sample."""

    at_most: int
    weight: float
    threshold: float

    @property
    def most_steps(self) -> int:
        """As many as it may take."""
        return self.at_most


@dataclass(frozen=True, slots=True)
class Ponder(Stepping):
    """Each step halts a share of what is left."""

    name = "ponder"
    part = "PonderStack"
    words = "pondering"
    soft = True

    prior: float

    @property
    def penalty(self) -> tuple[str, str, float] | None:
        """Of halting otherwise than the prior has it."""
        called = f"ponder_penalty(halting_bn, {self.prior!r})"
        return ("ponder", called, self.weight) if self.weight else None


@dataclass(frozen=True, slots=True)
class Act(Stepping):
    """Halts once probabilities sum to `threshold`."""

    name = "act"
    part = "ActStack"
    words = "adaptive computation time"
    soft = False

    @property
    def penalty(self) -> tuple[str, str, float] | None:
        """Of the steps taken, and what the last was left."""
        return ("ponder", "paid_steps(halting_bn, steps_b)", self.weight) if self.weight else None


@dataclass(frozen=True, slots=True)
class Exit(Kind):
    """Exits after the blocks in `after` (1-based, the last block included) by `head`."""

    name = "exit"
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
    def decider(self) -> str:
        """The head."""
        return self.head

    def leaves(self, depth: int) -> tuple[int, ...]:
        """After some blocks."""
        return self.after

    def passes(self, depth: int) -> tuple[int, ...]:
        """Before the last two exits, and between them."""
        return (self.after[-2], depth - self.after[-2]) if len(self.after) > 1 else (depth,)


Halting = Ponder | Act | Exit
