"""Encoded columns: arrays of one shape, or of any length, from which batches are taken."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Maybe = Array | None


@dataclass(frozen=True, slots=True)
class Part:
    """An array on its way: its type, the shape of one value, the values a few at a time."""

    kind: type
    shape: tuple[int, ...]
    blocks: Iterable[Array]


@dataclass(frozen=True, slots=True)
class Kept:
    """An array, a hash of it, and the pages that it lies in where it is mapped from a file."""

    values: Array
    digest: str
    pages: mmap.mmap | None = None


Keep = Callable[[Iterable[Part]], list[Kept]]
"""Takes parts, each to its end before the next, and gives their arrays."""


def digest(kind: np.dtype[Any], shape: tuple[int, ...], content: str) -> str:
    """The hash of an array, from that of its bytes."""
    return hashlib.sha256(f"{kind.name} {list(shape)} {content}".encode()).hexdigest()


def own_digest(values: Array) -> str:
    """The hash of an array."""
    content = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
    return digest(values.dtype, values.shape, content)


def _release(pages: mmap.mmap | None) -> None:
    """Let go of the pages that were looked at: they can be read again."""
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED)


def is_pixels(values: Array) -> bool:
    """Whether they are light, eight bits a channel."""
    return values.dtype == np.uint8


def light(values: Array) -> Array:
    """Pixels as float32, -1 dark to 1 bright."""
    found = values.astype(np.float32)
    found /= np.float32(127.5)
    found -= 1
    return found


@dataclass(frozen=True, slots=True)
class Fixed:
    """Values of one shape: images as uint8 [N, C, H, W], tables as floats [N, columns]."""

    values: Array
    present: NDArray[np.bool_]
    digest: str
    pages: mmap.mmap | None = None

    @classmethod
    def pack(cls, items: Iterable[Maybe], shape: tuple[int, ...], kind: type, keep: Keep) -> Fixed:
        """The values of all rows; None becomes zeros that are not present."""
        return cls.of(keep(_fixed(items, shape, kind)))

    @classmethod
    def of(cls, kept: list[Kept]) -> Fixed:
        """The column of these arrays."""
        values, present = kept
        return cls(values.values, present.values, values.digest + present.digest, values.pages)

    def take(self, rows: Array, shown: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Floats [B, ...], pixels as -1 to 1, and int64 [B]: 1, or 0 where it is not shown."""
        values = self.values[rows]
        _release(self.pages)
        if is_pixels(values):
            values = light(values)
        values[~shown] = 0
        return values, shown.astype(np.int64)


def _fixed(items: Iterable[Maybe], shape: tuple[int, ...], kind: type) -> Iterator[Part]:
    present: list[bool] = []

    def values() -> Iterator[Array]:
        nothing: Array = np.zeros((1, *shape), kind)
        for item in items:
            present.append(item is not None)
            yield nothing if item is None else item[None]

    yield Part(kind, shape, values())
    yield Part(bool, (), [np.array(present, bool)])


@dataclass(frozen=True, slots=True)
class Ragged:
    """Values of any length, one after the other; row i has values[starts[i]:starts[i + 1]]."""

    values: Array
    starts: NDArray[np.int64]
    cut: int
    """Rows that were longer than allowed."""
    digest: str
    pages: mmap.mmap | None = None

    @classmethod
    def pack(cls, items: Iterable[Maybe], longest: int, empty: Array, keep: Keep) -> Ragged:
        """The values of all rows, each cut to `longest`; None becomes no values like `empty`."""
        return cls.of(keep(_ragged(items, longest, empty)))

    @classmethod
    def of(cls, kept: list[Kept]) -> Ragged:
        """The column of these arrays."""
        values, starts, cut = kept
        name = values.digest + starts.digest
        return cls(values.values, starts.values, int(cut.values[0]), name, values.pages)

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
        _release(self.pages)
        return padded, lengths


def _ragged(items: Iterable[Maybe], longest: int, empty: Array) -> Iterator[Part]:
    lengths: list[int] = []
    cut: list[bool] = []

    def values() -> Iterator[Array]:
        for item in items:
            kept = empty if item is None else item[:longest]
            lengths.append(len(kept))
            cut.append(item is not None and len(item) > longest)
            yield kept

    yield Part(empty.dtype.type, empty.shape[1:], values())
    yield Part(np.int64, (), [np.cumsum([0, *lengths], dtype=np.int64)])
    yield Part(np.int64, (), [np.array([sum(cut)], np.int64)])


Column = Fixed | Ragged
