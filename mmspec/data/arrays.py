"""Encoded columns: arrays of one shape, or of any length, from which batches are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Maybe = Array | None


def is_pixels(values: Array) -> bool:
    """Whether they are light, eight bits a channel."""
    return values.dtype == np.uint8


def light(values: Array) -> Array:
    """Pixels as float32, -1 dark to 1 bright."""
    return values.astype(np.float32) / np.float32(127.5) - 1


@dataclass(frozen=True, slots=True)
class Fixed:
    """Values of one shape: images as uint8 [N, C, H, W], tables as floats [N, columns]."""

    values: Array
    present: NDArray[np.bool_]

    @classmethod
    def pack(cls, items: Sequence[Maybe], shape: tuple[int, ...], kind: type) -> Fixed:
        """The values of all rows; None becomes zeros that are not present."""
        values: Array = np.zeros((len(items), *shape), kind)
        for index, item in enumerate(items):
            if item is not None:
                values[index] = item
        return cls(values, np.array([item is not None for item in items], bool))

    def take(self, rows: Array, shown: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Floats [B, ...], pixels as -1 to 1, and int64 [B]: 1, or 0 where it is not shown."""
        values = self.values[rows]
        if is_pixels(values):
            values = light(values)
        values[~shown] = 0
        return values, shown.astype(np.int64)

    def parts(self) -> tuple[Array, ...]:
        """What a fingerprint is made of."""
        return self.values, self.present


@dataclass(frozen=True, slots=True)
class Ragged:
    """Values of any length, one after the other; row i has values[starts[i]:starts[i + 1]]."""

    values: Array
    starts: NDArray[np.int64]
    cut: int
    """Rows that were longer than allowed."""

    @classmethod
    def pack(cls, items: Sequence[Maybe], longest: int, empty: Array) -> Ragged:
        """The values of all rows, each cut to `longest`; None becomes no values like `empty`."""
        kept = [empty if item is None else item[:longest] for item in items]
        starts = np.cumsum([0, *(len(item) for item in kept)], dtype=np.int64)
        cut = sum(item is not None and len(item) > longest for item in items)
        return cls(np.concatenate([empty, *kept]), starts, cut)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which rows have any value: bool [N]."""
        return np.diff(self.starts) > 0

    def take(self, rows: Array, shown: NDArray[np.bool_]) -> tuple[Array, Array]:
        """[B, longest of the batch, ...], zeros past each end, and lengths int64 [B].

        Pixels are float32, -1 to 1.
        """
        lengths = np.where(shown, self.starts[rows + 1] - self.starts[rows], 0)
        shape = (len(rows), max(1, int(lengths.max(initial=0))), *self.values.shape[1:])
        padded = np.zeros(shape, np.float32 if is_pixels(self.values) else self.values.dtype)
        for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            found = self.values[self.starts[row] : self.starts[row] + length]
            padded[index, :length] = light(found) if is_pixels(found) else found
        return padded, lengths

    def parts(self) -> tuple[Array, ...]:
        """What a fingerprint is made of."""
        return self.values, self.starts


Column = Fixed | Ragged
