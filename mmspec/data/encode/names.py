"""Names as ids: learnt from the training rows, in alphabetical order, the same for held-out rows.

Whole numbers are ids as they are, when every value of the column is one; true and false are names.
Names are compared without the blanks around them and in Unicode's normal form C.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from unicodedata import normalize

import numpy as np

from mmspec.data import numerals
from mmspec.data.encode.values import described
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.diagnostics import suggest

_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half of a character: JSON can write it, no file of text can hold it."""
_SHOWN: Final = 30
"""Digits of an id that are shown."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the ids 0, 1, ... of a column; None where the ids stand in the data."""

    names: tuple[str, ...] | None
    count: int
    """Ids that the spec allows."""
    places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Where each name stands."""
        object.__setattr__(self, "places", {name: at for at, name in enumerate(self.names or ())})

    def id(self, raw: Raw) -> int:
        """The id of a value; raises MM505 where it is none, MM507 out of range, MM508 unknown."""
        if not _is_name(raw):
            raise fault("MM505", f"a class is a name or a whole number, not {described(raw)}")
        if self.names is not None:
            return self._place(_named(raw), self.names)
        number = numerals.whole(raw)
        if number is None:
            raise fault("MM505", f"the classes are whole numbers, and {described(raw)} is none")
        if not 0 <= number < self.count:
            message = f"{str(number)[:_SHOWN]} is not in 0 to {self.count - 1}"
            raise fault("MM507", message, "ids count from 0; give names, or raise the count")
        return number

    def _place(self, name: str, names: tuple[str, ...]) -> int:
        if name in self.places:
            return self.places[name]
        close = suggest(name, names)
        advice = f"did you mean {close}? " if close else ""
        known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise fault("MM508", f"no training row has {described(name)}", f"{advice}known: {known}")


def learn(training: Iterable[Raw], every: Iterable[Raw], count: int) -> Names:
    """The names of the training rows' values; raises MM509 where they are more than `count`."""
    if all(numerals.whole(value) is not None for value in every if _is_name(value)):
        return Names(None, count)
    names = tuple(sorted({_named(value) for value in training if _is_name(value)}))
    if len(names) > count:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        message = f"{len(names)} different values, and the spec has {count}: {shown}"
        raise fault("MM509", message, f"write {len(names)} in the spec, or merge values")
    return Names(names, count)


def is_absent(raw: Raw) -> bool:
    """Whether a value is no name at all: None, or nothing but blanks."""
    return raw is None or (isinstance(raw, str) and not raw.strip())


def _is_name(raw: Raw) -> bool:
    """Whether a value can name a class: text or a number; what can't is told with its row."""
    if isinstance(raw, float | np.floating):
        return bool(np.isfinite(raw))
    if isinstance(raw, str):
        return not is_absent(raw) and not _HALF.search(raw)
    return isinstance(raw, int | np.integer | np.bool_)


def _named(raw: Raw) -> str:
    """A value as a name, the same whatever kind of file it stands in."""
    if isinstance(raw, bool | np.bool_):
        return str(bool(raw)).lower()
    return normalize("NFC", str(raw).strip())
