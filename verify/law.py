"""A law: a sentence that every model owes its spec, when it applies, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmspec.verify.outcome import Outcome
from mmspec.verify.subject import Subject
from mmspec.verify.twin import Kept

Applies = Callable[[Subject], str | None]
"""None when a law speaks of a subject, else why it is not checked."""
Check = Callable[["Law", Subject, "Search"], Outcome]
"""Looks, and says what it found; the outcome carries the law's id and statement."""


@dataclass(frozen=True, slots=True)
class Search:
    """How long to look for a counterexample, and where to begin.

    smallest: look for the smallest one too, which takes about as long again.
    """

    examples: int
    seed: int
    smallest: bool = True


def everywhere(subject: Subject) -> None:
    """When a law speaks of every subject."""


@dataclass(frozen=True, slots=True)
class Law:
    """A law that `mmspec laws` lists; ids are stable.

    runs: whether it runs models with weights: those of a reduced twin where the spec is large;
    keeps: what that twin must not cut.
    """

    id: str
    title: str
    statement: str
    check: Check
    applies: Applies = everywhere
    runs: bool = True
    keeps: tuple[Kept, ...] = ()
