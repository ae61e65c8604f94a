"""A law: a sentence that every model owes its spec, when it applies, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmspec.verify.outcome import Outcome
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Search:
    """How long to look for a counterexample, and where to begin."""

    examples: int
    seed: int


@dataclass(frozen=True, slots=True)
class Law:
    """A law that `mmspec laws` lists; ids are stable.

    applies: None when it speaks of this subject, else why it is not checked.
    check: looks, and says what it found; its outcome carries the law's id and statement.
    runs: whether it runs models with weights, which a large spec needs much memory for.
    """

    id: str
    title: str
    statement: str
    applies: Callable[[Subject], str | None]
    check: Callable[[Subject, Search], Outcome]
    runs: bool = True
