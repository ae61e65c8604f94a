"""Tables: a row of numbers and of category codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import numerals
from mmspec.data.encode import names
from mmspec.data.encode.values import described, narrowed, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.diagnostics import MmspecError
from mmspec.schema.columns import Categories
from mmspec.schema.modality import Table

Codes = Mapping[str, names.Names]
"""The names of each category column."""
_NARROW: Final = 2**24
"""Codes that float32 holds exactly."""


def dtype(modality: Table) -> type[np.floating[Any]]:
    """float32; float64 where a category's code may need it: the model reads both."""
    counts = [kind.categories for kind in modality.columns.values() if isinstance(kind, Categories)]
    return np.float64 if max(counts, default=0) > _NARROW else np.float32


def learn(modality: Table, rows: Sequence[Raw], is_training: NDArray[np.bool_]) -> Codes:
    """The names of each category column; raises MM509 where there are too many."""
    tables = [row if isinstance(row, Mapping) else {} for row in rows]
    training = [row for row, kept in zip(tables, is_training, strict=True) if kept]
    return {
        key: names.learn(
            [r.get(key) for r in training], [r.get(key) for r in tables], kind.categories
        )
        for key, kind in modality.columns.items()
        if isinstance(kind, Categories)
    }


def encode(modality: Table, codes: Codes, raw: Raw) -> NDArray[Any]:
    """[columns] of `dtype`; raises MM504 to MM508 with the column of the table."""
    if not isinstance(raw, Mapping):
        raise fault("MM505", f"a table's row is a mapping of column to value, not {described(raw)}")
    missing = [key for key in modality.columns if names.is_absent(raw.get(key))]
    if missing:
        advice = "fill it, or leave the whole row of an optional table empty"
        raise fault("MM504", f"no value for `{'`, `'.join(missing)}`", advice)
    cells = [
        _code(key, codes[key], raw[key]) if key in codes else _number(key, raw[key])
        for key in modality.columns
    ]
    return np.array(cells, dtype(modality))


def _code(key: str, known: names.Names, value: Raw) -> int:
    try:
        return known.id(value)
    except MmspecError as error:
        told = [replace(each, message=f"`{key}`: {each.message}") for each in error.diagnostics]
        raise MmspecError(told) from None


def _number(key: str, value: Raw) -> float:
    found = numerals.number(value) if isinstance(value, str) else value
    if isinstance(found, int | float | np.number | np.bool_):
        return float(narrowed(numbers(found, f"`{key}`"), f"`{key}`"))
    advice = numerals.remedy(value) if isinstance(value, str) else ""
    raise fault("MM505", f"`{key}` is a number, not {described(value)}", advice)
