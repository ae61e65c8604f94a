"""What a figure consists of: filled boxes, lines and words, in pixels of a plain page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mmspec.verify.blocks import Shades

Box = tuple[int, int, int, int]
"""Left, top, width, height."""

INK: Final = "#1a1a1a"
FAINT: Final = "#5f6368"

CHARACTER: Final = 0.54
"""Width of a character of a common font, as a share of its size."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Boxes of one color, which do not overlap."""

    color: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line between two points, level or upright; half of its width to each side."""

    start: tuple[float, float]
    stop: tuple[float, float]
    width: float
    color: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text on a baseline; turned text reads upwards."""

    at: tuple[float, float]
    text: str
    size: int
    anchor: str = "start"
    """`start`, `middle` or `end` of the text stands at the place."""
    color: str = INK
    bold: bool = False
    turned: bool = False

    @property
    def width(self) -> float:
        """About how long it is."""
        return len(self.text) * self.size * CHARACTER


Item = Fill | Line | Words


@dataclass(slots=True)
class Scene:
    """Items in the order in which they are painted, and the size of the page."""

    title: str
    width: int = 0
    height: int = 0
    items: list[Item] = field(default_factory=list)

    def boxes(self) -> int:
        """How many boxes it has."""
        return sum(len(item.boxes) for item in self.items if isinstance(item, Fill))


def merged(cells: Shades, value: int) -> Iterator[Box]:
    """The cells of a value as boxes: runs of a row, and equal runs of the rows below as one."""
    open_: dict[tuple[int, int], int] = {}
    for row in range(len(cells) + 1):
        runs = set(_runs(cells[row] == value)) if row < len(cells) else set()
        for run in [run for run in open_ if run not in runs]:
            top = open_.pop(run)
            yield run[0], top, run[1] - run[0], row - top
        for run in runs:
            open_.setdefault(run, row)


def _runs(row: np.typing.NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Where the row is true, from and to."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    return zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True)
