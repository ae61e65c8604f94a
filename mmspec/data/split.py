"""Splits: as a column names them, or from the data alone, stratified and by group."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TRAIN: Final = ("train", "training")
HELD_OUT: Final = (
    *("held-out", "holdout", "test", "testing", "val", "valid", "validation"),
    *("dev", "development", "eval", "evaluation"),
)
"""Words of a column `split`; case, blanks, `-` and `_` make no difference."""


def side(cell: Any) -> bool | None:
    """Whether a cell holds its row out; None where it names no split."""
    return _SIDES.get(_plain(cell)) if isinstance(cell, str) else None


def _plain(word: str) -> str:
    return _MARKS.sub("", word[:_LONGEST]).casefold()


_LONGEST: Final = 40
_MARKS: Final = re.compile(r"[-_\s]")
_SIDES: Final = dict.fromkeys(map(_plain, TRAIN), False) | dict.fromkeys(
    map(_plain, HELD_OUT), True
)


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


def linked(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """A group for each row: rows that share either name are in one, and so are theirs.

    A group is called by the least `first` in it.
    """
    above: dict[tuple[int, str], tuple[int, str]] = {}

    def top(node: tuple[int, str]) -> tuple[int, str]:
        while above.setdefault(node, node) != node:
            node = above[node]
        return node

    for one, other in zip(first, second, strict=True):
        low, high = sorted((top((0, one)), top((1, other))))
        above[high] = low
    return [top((0, one))[1] for one in first]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
