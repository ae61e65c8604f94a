"""What became of a claim or a law: proved, held, refuted or not checked; never less than that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mmspec.diagnostics import Span

Status = Literal["proved", "held", "refuted", "not checked"]
Keys = tuple[str | int, ...]

STATUSES: Final[tuple[Status, ...]] = ("proved", "held", "refuted", "not checked")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One claim or law, and what was found.

    proved: for every length and input; held: over `examples` inputs drawn from `seed`;
    refuted: `counterexample` breaks it, and `span` is the line of the spec that it concerns;
    not checked: `detail` says why.
    """

    name: str
    """`P6`, or the claim's text."""
    statement: str
    status: Status
    detail: str = ""
    span: Span | None = None
    examples: int = 0
    seed: int = 0
    counterexample: str | None = None
    untested: tuple[tuple[str, str], ...] = ()
    """Ways by which it was not tried on this machine, and why."""
    disputed: bool = False
    """Whether it was proved, and a trial disagrees: one of the two is wrong, which is our error."""
    cut: str = ""
    """By what the reduced twin is smaller that it was tried on; nothing: the spec as written."""


class Broken(Exception):
    """A property does not hold: `what` happened in words, `where` are keys of the spec."""

    def __init__(self, what: str, where: Keys = (), counterexample: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.counterexample = counterexample
        """The input in words; empty: as the example describes itself."""


def proved(name: str, statement: str, detail: str, span: Span | None = None) -> Outcome:
    """True for every length and input; `detail` is the proof in words."""
    return Outcome(name, statement, "proved", detail, span)


def held(name: str, statement: str, examples: int, seed: int, detail: str = "") -> Outcome:
    """True of every one of these examples."""
    return Outcome(name, statement, "held", detail, None, examples, seed)


def refuted(
    name: str,
    statement: str,
    detail: str,
    span: Span | None = None,
    counterexample: str | None = None,
) -> Outcome:
    """False: `detail` says what was found, `counterexample` the smallest input in words."""
    return Outcome(name, statement, "refuted", detail, span, counterexample=counterexample)


def not_checked(name: str, statement: str, why: str, span: Span | None = None) -> Outcome:
    """Nothing was looked at, for this reason."""
    return Outcome(name, statement, "not checked", why, span)
