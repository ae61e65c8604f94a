"""Tables: a row of numbers and of category codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode import names
from mmspec.data.encode.values import described
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.schema.modality import Categories, Table

Codes = Mapping[str, names.Names]
"""The names of each category column."""


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
    """float32 [columns]; raises MM504 to MM508 with the column of the table."""
    if not isinstance(raw, Mapping):
        raise fault("MM505", f"a table's row is a mapping of column to value, not {described(raw)}")
    missing = [key for key in modality.columns if raw.get(key) is None]
    if missing:
        advice = "fill it, or leave the whole row of an optional table empty"
        raise fault("MM504", f"no value for `{'`, `'.join(missing)}`", advice)
    cells = [
        codes[key].id(raw[key]) if key in codes else _number(key, raw[key])
        for key in modality.columns
    ]
    return np.array(cells, np.float32)


def _number(key: str, value: Raw) -> float:
    if isinstance(value, str | int | float | np.number):
        try:
            number = float(value)
        except ValueError:
            pass
        else:
            if not np.isfinite(np.float32(number)):
                raise fault("MM506", f"`{key}` is {value}")
            return number
    raise fault("MM505", f"`{key}` is a number, not {described(value)}")
