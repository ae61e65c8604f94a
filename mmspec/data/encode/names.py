"""Names as ids: learnt from the training rows, in alphabetical order, the same for held-out rows.

Whole numbers are ids as they are, when every value of the column is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mmspec.data.encode.values import described
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.diagnostics import suggest


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the ids 0, 1, ... of a column; None where the ids stand in the data."""

    names: tuple[str, ...] | None
    count: int
    """Ids that the spec allows."""

    def id(self, raw: Raw) -> int:
        """The id of a value; raises MM507 where it is out of range, MM508 where it is unknown."""
        if self.names is not None:
            if str(raw) in self.names:
                return self.names.index(str(raw))
            close = suggest(str(raw), self.names)
            advice = f"did you mean {close}? " if close else ""
            known = ", ".join(self.names[:10]) + (", ..." if len(self.names) > 10 else "")
            message = f"no training row has {described(raw)}"
            raise fault("MM508", message, f"{advice}known: {known}")
        number = int(str(raw)) if isinstance(raw, str) else _whole(raw)
        if not 0 <= number < self.count:
            message = f"{number} is not in 0 to {self.count - 1}"
            raise fault("MM507", message, "ids count from 0; give names, or raise the count")
        return number


def learn(training: Iterable[Raw], every: Iterable[Raw], count: int) -> Names:
    """The names of the training rows' values; raises MM509 where they are more than `count`."""
    if all(_is_whole(value) for value in every if value is not None):
        return Names(None, count)
    names = tuple(sorted({str(value) for value in training if value is not None}))
    if len(names) > count:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        message = f"{len(names)} different values, and the spec has {count}: {shown}"
        raise fault("MM509", message, f"write {len(names)} in the spec, or merge values")
    return Names(names, count)


def _is_whole(value: Raw) -> bool:
    if isinstance(value, str):
        digits = value.strip().removeprefix("-")
        return digits.isascii() and digits.isdigit() and len(digits) < 19
    return isinstance(value, int | np.integer)


def _whole(value: Raw) -> int:
    assert isinstance(value, int | np.integer), value
    return int(value)
