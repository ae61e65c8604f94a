"""Rows before encoding: one raw value a column and row, and which rows are held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Report = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""


class Samples(Protocol):
    """Float32 in -1 to 1: an array [n], or what reads its parts from a file, from first to last."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Waveform:
    """Sound as samples [n], float32 in -1 to 1, and the number of samples a second."""

    samples: Samples
    rate: int


Raw = (
    str
    | int
    | float
    | np.number[Any]
    | NDArray[Any]
    | Waveform
    | Mapping[str, Any]
    | Sequence[Any]
    | None
)
"""A value as it was found; None: absent (a modality) or unlabelled (a target)."""


@dataclass(frozen=True, slots=True)
class Opened(Sequence[Raw]):
    """Cells, each opened when it is asked for; raises MmspecError (MM501) where it cannot be."""

    cells: Sequence[Raw]
    open: Callable[[Raw], Raw]
    path: Callable[[Raw], Path | None]
    """The file that a cell names; None where it is the value itself."""
    about: str = ""
    """What else decides how cells are opened."""

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Opened(self.cells[index], self.open, self.path, self.about)
        cell = self.cells[index]
        return None if cell is None else self.open(cell)


@dataclass(frozen=True, slots=True)
class Source:
    """Rows before encoding.

    `columns`: by name, one raw value a row: image uint8 [H, W] or [H, W, C] (or floats in 0 to 1),
    video the same with an axis of frames before them; audio a Waveform or float32 [F, features];
    series float32 [F, features]; tokens text or ints; table a mapping of column to value; target
    text, a number or several numbers. A sequence may open its files on access, and raises
    MmspecError where it cannot.
    """

    name: str
    columns: Mapping[str, Sequence[Raw]]
    held_out: NDArray[np.bool_]
    """[N], true where the row is not trained on."""
    rows: Sequence[str]
    """How an error names a row: `birds.csv:12`, `openmoji 41`."""
    fingerprint: str
    """Changes when the data does."""
    has_split: bool = True
    """Whether the data says which rows are held out; else they were drawn."""
