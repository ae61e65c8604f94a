"""A grid of characters on which boxes and lines are drawn; lines that meet join."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

_NORTH, _EAST, _SOUTH, _WEST = 1, 2, 4, 8
_JOINTS: Final = " │─└││┌├─┘─┴┐┤┬┼"
"""The character of each sum of directions; a lone north, south, east or west is a line."""

_ASCII: Final = str.maketrans("│─└┘┌┐├┤┬┴┼═║╔╗╚╝╤▼…", "|-+++++++++=|+++++v~")

Run = tuple[str, str]
"""Text of one style."""


@dataclass(slots=True)
class Canvas:
    """Characters and their styles by (row, column)."""

    characters: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    joints: dict[tuple[int, int], int] = field(default_factory=dict)

    def text(self, row: int, column: int, text: str, style: str = "") -> None:
        """Write text to the right of a place."""
        for offset, character in enumerate(text):
            self.characters[row, column + offset] = (character, style)

    def horizontal(self, row: int, left: int, right: int) -> None:
        """A line from one column to another, both included."""
        for column in range(left, right):
            self._join(row, column, _EAST)
            self._join(row, column + 1, _WEST)

    def vertical(self, column: int, top: int, bottom: int, over: frozenset[int]) -> None:
        """A line from the upper edge of row `top` to the middle of row `bottom`.

        In the rows in `over` it passes over whatever line is there without joining it.
        """
        for row in range(top, bottom + 1):
            if row in over:
                self.characters[row, column] = ("│", "")
                continue
            self._join(row, column, _NORTH)
            if row < bottom:
                self._join(row, column, _SOUTH)

    def leave(self, row: int, column: int) -> None:
        """Open a line downwards from a place."""
        self._join(row, column, _SOUTH)

    def _join(self, row: int, column: int, direction: int) -> None:
        self.joints[row, column] = self.joints.get((row, column), 0) | direction

    def rows(self, ascii_only: bool = False) -> Iterator[list[Run]]:
        """Every row as runs of one style, without trailing blanks."""
        cells = {at: (_JOINTS[bits], "") for at, bits in self.joints.items()} | self.characters
        ends: dict[int, int] = {}
        for row, column in cells:
            ends[row] = max(ends.get(row, -1), column)
        for row in range(max(ends, default=-1) + 1):
            line = [cells.get((row, at), (" ", "")) for at in range(ends.get(row, -1) + 1)]
            runs = groupby(line, key=lambda cell: cell[1])
            texts = (("".join(character for character, _ in run), style) for style, run in runs)
            yield [(t.translate(_ASCII) if ascii_only else t, style) for t, style in texts]
