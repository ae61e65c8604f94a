"""Scores of attention: what q · k becomes before the softmax.

A relative score is a record of its numbers; its part gives what is added to the scores of each head
for how far a query is behind a key.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from mmspec.compiler.ir.norm import Norm


@dataclass(frozen=True, slots=True)
class Kind:
    """What every relative score says; a new one overrides what is otherwise with it."""

    name: ClassVar[str]
    """As the language has it."""

    @property
    def numbers(self) -> int:
        """How many a head learns."""
        return 0


@dataclass(frozen=True, slots=True)
class Alibi(Kind):
    """Less the distance of two tokens, times a slope of the head."""

    name = "alibi"


@dataclass(frozen=True, slots=True)
class Buckets(Kind):
    """A number for each range of distances: of one each at first, then ever wider.

    Of `sides` 2, keys that come later have the second half; of 1, they all fall into the first.
    """

    name = "buckets"
    count: int
    reach: int
    sides: int

    @property
    def numbers(self) -> int:
        """One for each range."""
        return self.count

    @property
    def starts(self) -> tuple[int, ...]:
        """The least distance of each range of a side but the first, which is that of 0.

        With n of m ranges of one distance each, range n + j begins at n (reach / n)^(j / (m - n)).
        """
        ranges = self.count // self.sides
        near = ranges // 2
        far = ranges - near
        found = [*range(1, near + 1)]
        distances = range(near, self.reach + 1)
        for j in range(1, far):
            least = Fraction(self.reach, near) ** j
            place = bisect_left(distances, least, key=lambda d: Fraction(d, near) ** far)
            found.append(distances[place])
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Offsets(Kind):
    """A number for each distance, earlier or later, up to `reach`."""

    name = "offsets"
    reach: int

    @property
    def numbers(self) -> int:
        """One for each distance."""
        return 2 * self.reach + 1


Relative = Alibi | Buckets | Offsets


@dataclass(frozen=True, slots=True)
class Common:
    """Relative scores that all layers of a stack have in common, and its segments with some."""

    heads: int
    relative: Relative
    lines: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a site does to its scores."""

    relative: Relative | None = None
    lines: tuple[bool, ...] = ()
    """Of each segment of the sequence whether its tokens have relative scores to one another."""
    scale: float | None = None
    """What products of queries and keys are multiplied by; None: one over the root of the width."""
    norm: Norm | None = None
    """Of queries, and another of keys, before they are turned."""
    together: bool = False
    """Whether a norm is of all heads at once."""

    sink: bool = False
    """Whether a learned number of each head joins the softmax, with the value 0."""

    tied: bool = False
    """Whether all layers have the numbers in common that relative scores learn."""

    @property
    def learns(self) -> bool:
        """Whether relative scores have weights."""
        return self.relative is not None and self.relative.numbers > 0

    @property
    def untied(self) -> Scores | None:
        """Without what its stack adds to the scores; None: nothing is left."""
        left = replace(self, relative=None, lines=(), tied=False) if self.tied else self
        return None if left == Scores() else left

    @property
    def inner(self) -> Scores | None:
        """What attention itself does besides scaling its products; None: nothing."""
        plain = replace(self, scale=None, norm=None, together=False)
        return None if plain == Scores() else plain
