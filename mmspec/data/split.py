"""Splits that follow from the data alone: stratified, and by group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def folds(labels: Sequence[str], count: int = 5) -> NDArray[np.int64]:
    """A fold for each row, every label spread evenly over the folds: int64 [N]."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    found = np.empty(len(labels), np.int64)
    start = 0
    for label in sorted(rows):
        order = sorted(rows[label], key=lambda row: _hash(f"{label} {row}"))
        for place, row in enumerate(order):
            found[row] = (start + place) % count
        start += len(order)
    return found


def grouped_folds(groups: Sequence[str], count: int = 5) -> NDArray[np.int64]:
    """A fold for each row, the same for rows of one group: int64 [N]."""
    return np.array([_hash(group) % count for group in groups], np.int64)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
