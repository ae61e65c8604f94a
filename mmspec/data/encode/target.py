"""Targets: class ids, and numbers to regress on."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import numerals
from mmspec.data.encode.names import Names, is_absent
from mmspec.data.encode.values import described, narrowed, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw

IGNORED: Final = -100
"""The class id of a row without a label."""
_BETWEEN: Final = re.compile(r"[\s,;]+")
_BLANKS: Final = re.compile(r"[\s;]+")


def label(classes: Names, raw: Raw) -> int | None:
    """A class id, None where the cell is blank; raises MM505, MM507 or MM508."""
    return None if is_absent(raw) else classes.id(raw)


def regressed(outputs: int, raw: Raw) -> NDArray[Any]:
    """float32 [outputs] from a number, a list, or numbers in text; raises MM505 or MM506."""
    given = _parsed(raw) if isinstance(raw, str) else raw
    values = np.atleast_1d(numbers(given, "a target"))
    if values.shape != (outputs,):
        found = _counted(values.size, "number") if values.ndim == 1 else described(values)
        message = f"the target has {found}, the head {_counted(outputs, 'output')}"
        raise fault("MM505", message, _remedy(raw) if isinstance(raw, str) else "")
    return narrowed(values, "the target")


def _parsed(text: str) -> list[int | float]:
    found = [numerals.number(word) for word in _BETWEEN.split(text.strip())]
    numbers_found = [value for value in found if value is not None]
    if len(numbers_found) < len(found):
        raise fault("MM505", f"a target is numbers, not {described(text)}", _remedy(text))
    return numbers_found


def _remedy(text: str) -> str:
    """How to write a number that people write otherwise: a comma parted it."""
    words = filter(None, _BLANKS.split(text))
    return next((advice for word in words if (advice := numerals.remedy(word))), "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
