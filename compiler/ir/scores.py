"""Scores of attention: what q · k becomes before the softmax.

A relative score is a record of its numbers; its part gives what is added to the scores of each head
for how far a query is behind a key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mmspec.compiler.ir.norm import Norm


@dataclass(frozen=True, slots=True)
class Kind:
    """What every relative score says; a new one overrides what is otherwise with it."""

    name: ClassVar[str]
    """As the language has it."""


@dataclass(frozen=True, slots=True)
class Alibi(Kind):
    """Less the distance of two tokens, times a slope of the head."""

    name = "alibi"


Relative = Alibi


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

    @property
    def inner(self) -> Scores | None:
        """What attention itself does besides scaling its products; None: nothing."""
        plain = replace(self, scale=None, norm=None, together=False)
        return None if plain == Scores() else plain
