"""Adaptive depth: pondering and exits by confidence."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from mmspec.schema.base import Held, Model, NonNegative, Size
from mmspec.schema.names import Name

Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), Held]
Threshold = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), Held]


class Halts(Model):
    """What a reader may know of a halting without its name.

    How far a sample has gone is counted in steps (all blocks once more) or in blocks.
    """

    counted: ClassVar[str]
    """The statistic that says how far each sample went."""
    statistics: ClassVar[tuple[str, ...]]
    """All that it tells of, by name."""
    losses: ClassVar[tuple[str, ...]] = ()
    """Its auxiliary losses, by name."""
    training: ClassVar[Literal["mean", "stop", "all"]]
    """What it does in training: weigh all steps, stop as in evaluation, or go to the end."""

    @classmethod
    def named(cls) -> str:
        """Its kind, as the language has it."""
        name: str = get_args(cls.model_fields["kind"].annotation)[0]
        return name

    @classmethod
    def has_head(cls) -> bool:
        """Whether a head decides."""
        return "head" in cls.model_fields

    @property
    def decider(self) -> str | None:
        """The classifier that decides; None: a unit `halt` of the stream, from all its tokens."""
        return None

    @property
    def caption(self) -> str:
        """In a few words."""
        return self.named()

    def leaves(self, depth: int) -> tuple[int, ...]:
        """How far a sample may go in a stream of so many blocks, the least first."""
        return (depth,)

    def runs(self, block: int) -> tuple[int, ...]:
        """How far a sample must go to be in each call of a block, counted from 0."""
        return (block + 1,)

    @property
    def most_steps(self) -> int:
        """How often the blocks are run at most."""
        return len(self.runs(0))

    def decides(self, depth: int, training: bool = False) -> bool:
        """Whether what leaves the stream depends on what is decided from all its tokens."""
        return len(self.leaves(depth)) > 1 and not (training and self.training == "all")


class Stepping(Halts):
    """The blocks are one step, taken up to `at_most` times."""

    counted = "steps"
    statistics = ("halting", "steps")

    at_most: Size
    """Steps that a sample takes at most."""
    weight: NonNegative = 0.01
    """Of the auxiliary loss."""
    threshold: Threshold = 0.99
    """How certain it must be to stop."""

    @property
    def caption(self) -> str:
        """Its kind and how many steps there are at most."""
        return f"{self.named()} ≤ {self.at_most} steps"

    def leaves(self, depth: int) -> tuple[int, ...]:
        """After any step."""
        return tuple(range(1, self.at_most + 1))

    def runs(self, block: int) -> tuple[int, ...]:
        """Every step calls every block."""
        return self.leaves(1)


class Ponder(Stepping):
    """Apply the blocks up to `at_most` times; halt by a learned probability (PonderNet 2021)."""

    losses = ("ponder",)
    training = "mean"

    kind: Literal["ponder"]
    prior: Probability
    """The probability of halting after each step, as expected beforehand."""


class Act(Stepping):
    """Apply the blocks until halting probabilities sum to enough (Graves 2016)."""

    losses = ("ponder",)
    training = "stop"

    kind: Literal["act"]


class Exit(Halts):
    """Leave after a block once the head is confident enough."""

    counted = "depth"
    statistics = ("depth",)
    training = "all"

    kind: Literal["exit"]
    head: Name
    """The classifier that decides."""
    threshold: Threshold
    """How probable its likeliest class must be."""
    every: Size = 1
    """After how many blocks it is asked again."""

    @property
    def decider(self) -> str:
        """The head."""
        return self.head

    @property
    def caption(self) -> str:
        """Its head and how certain that must be."""
        return f"exit at {self.head} ≥ {self.threshold:g}"

    def leaves(self, depth: int) -> tuple[int, ...]:
        """After every so many blocks, and the last; of fewer, none but after as many."""
        return (*range(self.every, depth, self.every), max(depth, self.every))


KINDS: dict[str, type[Halts]] = {kind.named(): kind for kind in (Ponder, Act, Exit)}
"""Every halting by its name."""

Halting = Annotated[Ponder | Act | Exit, Field(discriminator="kind")]
