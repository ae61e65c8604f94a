"""What is wrong with data: coded, placed at a row and a column, gathered before it is raised."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mmspec.diagnostics import Diagnostic, MmspecError

_MOST: Final = 10
"""So many are shown; the rest is likely the same."""
_REST: Final = f"the first {_MOST} problems are shown, there may be more"

_REASONS: Final[dict[type[Exception], str]] = {
    MemoryError: "it asks for more memory than there is",
    RecursionError: "it is nested too deeply",
}
_LONGEST: Final = 300
"""Characters of a reason: some decoders quote what they read."""


def fault(code: str, message: str, help: str = "") -> MmspecError:  # noqa: A002 - as in Diagnostic
    """One problem, not yet placed."""
    return MmspecError(Diagnostic(code, message, help=help))


def package_missing(package: str, purpose: str) -> MmspecError:
    """MM512: a package of the extra `demo` is not installed."""
    return fault("MM512", f"{purpose} needs {package}", 'pip install "mmspec[demo]"')


class UnreadableError(ValueError):
    """A file cannot be read, and this helps."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


@contextmanager
def decoding(path: Path, advice: str = "convert or replace the file") -> Generator[None]:
    """MM501 for whatever is raised over a file inside, and no warnings about it.

    Decoders raise what they like over a damaged file: errors of their own, of the decoders below
    them, of Python. None of it says more than that the file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MmspecError:
        raise
    except Exception as error:  # noqa: BLE001 - the reason is above
        reason = _REASONS.get(type(error)) or str(error).strip() or type(error).__name__
        first = reason.split("\n")[0][:_LONGEST]
        message = f"`{path}` cannot be read: {first}"
        given = error.advice if isinstance(error, UnreadableError) else ""
        raise fault("MM501", message, given or advice) from None


def placed(error: MmspecError, row: str, column: str) -> list[Diagnostic]:
    """Problems with their place, where they have none."""
    place = f"{row}, column `{column}`"
    return [d if d.where else replace(d, where=place) for d in error.diagnostics]


@dataclass(slots=True)
class Faults:
    """Problems of the rows of one data set, raised together."""

    found: list[Diagnostic] = field(default_factory=list)

    @contextmanager
    def at(self, row: str, column: str) -> Generator[None]:
        """Keep what is raised inside, with its place; raise once there are many."""
        try:
            yield
        except MmspecError as error:
            self.extend(placed(error, row, column))

    def extend(self, found: list[Diagnostic]) -> None:
        """Keep problems that have their place; raise once there are many."""
        self.found += found
        if len(self.found) >= _MOST:
            self.check()

    def add(self, error: MmspecError) -> None:
        """Keep a problem that has no row."""
        self.found += error.diagnostics

    def check(self) -> None:
        """Raise MmspecError with everything found so far, if anything was."""
        shown = self.found[:_MOST]
        if len(shown) == _MOST:
            shown[-1] = replace(shown[-1], help=f"{shown[-1].help}; {_REST}".strip("; "))
        if shown:
            raise MmspecError(shown)
