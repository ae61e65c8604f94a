"""Looking for a counterexample: hypothesis with a fixed seed, its shrunk example in words.

`tried(check, draw)` is how most laws look: `check` on examples of what `draw` draws for a subject.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import errors as trouble
from hypothesis.strategies import SearchStrategy

from mmspec.verify.lab.case import scaled
from mmspec.verify.law import Check, Law, Search
from mmspec.verify.outcome import Broken, Outcome, held, not_checked, refuted
from mmspec.verify.subject import Subject, words

__all__ = ["Broken", "Vacuous", "describe", "search", "tried"]

T = TypeVar("T")
_TRIES, _SECONDS = 300, 20.0
"""Examples, and at most seconds, after the first counterexample to look for a smaller one."""
_ALLOWED = (
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.too_slow,
    HealthCheck.large_base_example,
)


class Vacuous(Exception):
    """The example holds nothing that a check speaks of: no masked key, no pad."""


@dataclass(slots=True)
class _Tally(Generic[T]):
    """What has been tried; `last` is the failing example met last: in the end the shrunk one.

    Once shrinking has had its tries and seconds, only that example is still tried.
    """

    check: Callable[[T], None]
    tried: int = 0
    vacuous: int = 0
    last: tuple[T, Exception] | None = None
    found_at: tuple[int, float] | None = None

    def try_one(self, example: T) -> None:
        """Check one example."""
        if self.last is not None and self._is_enough():
            if describe(example) != describe(self.last[0]):
                return
        self.tried += 1
        try:
            self.check(example)
        except Vacuous:
            self.vacuous += 1
        except (trouble.UnsatisfiedAssumption, trouble.StopTest):
            self.tried -= 1
            raise
        except Exception as error:
            self.found_at = self.found_at or (self.tried, time.monotonic())
            self.last = (example, error)
            raise

    def fails_again(self) -> bool:
        """Whether the example met last fails once more: time ran out, it was not chance."""
        assert self.last is not None
        try:
            self.check(self.last[0])
        except Exception:  # noqa: BLE001 - whatever it raised before
            return True
        return False

    def _is_enough(self) -> bool:
        """Whether a smaller counterexample has been looked for long enough."""
        if self.found_at is None:
            return False
        tried, since = self.found_at
        return self.tried - tried >= _TRIES or time.monotonic() - since > _SECONDS


def search(
    law: Law,
    subject: Subject,
    search: Search,
    strategy: SearchStrategy[T],
    check: Callable[[T], None],
    explain: Callable[[T], str] | None = None,
) -> Outcome:
    """Try `check` on examples of `strategy`: held, or refuted by the smallest that breaks it.

    explain: what more there is to say of that smallest one.

    The check raises `Broken` (refuted), `Vacuous` (nothing to look at: more than half of the
    examples make the law "not checked") or whatever the model raises, which refutes as well.
    Any other exception is a fault of the check itself and is raised.
    """
    tally = _Tally(check)
    try:
        _run(tally, strategy, search)
    except trouble.Unsatisfiable:
        return not_checked(law.id, law.statement, "no input of this spec can be drawn for it")
    except trouble.FlakyFailure:
        if tally.last is None:
            raise
        how = "" if tally.fails_again() else " (not on every run)"
        return _refuted(law, subject, *tally.last, search, how + _more(tally, explain))
    except Exception as error:
        if tally.last is None or not _is_found(error):
            raise
        return _refuted(law, subject, *tally.last, search, _more(tally, explain))
    if 2 * tally.vacuous > tally.tried:
        why = f"{tally.vacuous} of {tally.tried} inputs held nothing that it speaks of"
        return not_checked(law.id, law.statement, why)
    return held(law.id, law.statement, tally.tried - tally.vacuous, search.seed)


def tried(
    check: Callable[[Subject, T], None],
    draw: Callable[[Subject], SearchStrategy[T]],
    most: int | None = None,
    costs: int = 1,
    explain: Callable[[Subject, T], str] | None = None,
) -> Check:
    """The check of a law that no example of a subject may break.

    most: examples, if so many are enough; costs: how many of another law's take as long as one.
    """

    def tries(law: Law, subject: Subject, asked: Search) -> Outcome:
        count = max(1, min(asked.examples, most or asked.examples) // costs)
        few = scaled(subject, replace(asked, examples=count))
        more = explain and partial(explain, subject)
        return search(law, subject, few, draw(subject), partial(check, subject), more)

    return tries


def _more(tally: _Tally[T], explain: Callable[[T], str] | None) -> str:
    """What more there is to say of a counterexample that the model does not fail at."""
    if explain is None or tally.last is None or not isinstance(tally.last[1], Broken):
        return ""
    try:
        return f"; {explain(tally.last[0])}"
    except Exception:  # noqa: BLE001 - a model that is wrong may fail in any way, and more is asked
        return ""


def _run(tally: _Tally[T], strategy: SearchStrategy[T], search: Search) -> None:
    """Run hypothesis; raises what the shrunk example raises."""

    def try_one(example: T) -> None:
        tally.try_one(example)

    phases = (Phase.explicit, Phase.generate, *(Phase.shrink,) * search.smallest)
    settings = hypothesis.settings(
        max_examples=search.examples,
        database=None,
        deadline=None,
        suppress_health_check=_ALLOWED,
        phases=phases,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    hypothesis.seed(search.seed)(settings(hypothesis.given(strategy)(try_one)))()


def _is_found(error: Exception) -> bool:
    """Whether an exception speaks of the model and not of the check."""
    if isinstance(error, Broken | RuntimeError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.startswith("<mmspec ") for frame in frames)


def _refuted(
    law: Law, subject: Subject, example: Any, error: Exception, search: Search, how: str = ""
) -> Outcome:
    broken = error if isinstance(error, Broken) else None
    what = broken.what if broken else f"the model fails with {words(error)}"
    where = broken.where if broken else ()
    told = broken.counterexample if broken else ""
    span = subject.where(*where) if where else None
    found = refuted(law.id, law.statement, what + how, span, told or describe(example))
    return replace(found, seed=search.seed)


def describe(example: Any) -> str:
    """An example in words: its own `describe()`, the parts of a tuple, else its repr."""
    own = getattr(example, "describe", None)
    if callable(own):
        return str(own())
    if isinstance(example, tuple):
        return "; ".join(describe(part) for part in example)
    return str(example)
