"""A mask in a terminal: a cell is a character, or half of one where there are colours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from rich.text import Text

from mmspec.cli.pictures import words
from mmspec.cli.pictures.panel import Axis, Cell, Panel, fitting
from mmspec.verify.blocks import Shades

_MOST_COLUMNS: Final = 104
_FEWEST_ROWS: Final = 8
_FEWEST_COLUMNS: Final = 16
_LONGEST_NAME: Final = 12
_EVERY: Final = 8
"""Columns from one label to the next."""

SHADES: Final[dict[int, str]] = dict(zip(Cell, " ·▒▓█", strict=True))
IN_ASCII: Final[dict[int, str]] = dict(zip(Cell, " .+x#", strict=True))
COLORS: Final[dict[int, str]] = {
    Cell.SKIPPED: "",
    Cell.WASTED: "bright_black",
    Cell.PARTLY: "#b98a3e",
    Cell.BORDER: "#e69f00",
    Cell.WHOLE: "#2f8fd0",
}
MEANINGS: Final = {
    True: {
        Cell.WHOLE: "visible, in a whole tile",
        Cell.BORDER: "visible",
        Cell.PARTLY: "partly visible",
        Cell.WASTED: "hidden, in a touched tile",
        Cell.SKIPPED: "tile skipped",
    },
    False: {Cell.WHOLE: "all visible", Cell.PARTLY: "partly visible", Cell.SKIPPED: "hidden"},
}
"""Of cells within tiles, and of larger ones."""

_GLUE: Final = "\N{NO-BREAK SPACE}"
_PLAIN: Final = str.maketrans("│─┌┐└┘├┤┬┴┼×", "|-+++++++++x")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal can show."""

    width: int
    ascii_only: bool
    colored: bool


@dataclass(frozen=True, slots=True)
class _Scale:
    """Tokens of a cell down and across, and characters of a cell across."""

    tall: int
    wide: int
    characters: int
    halves: bool
    """Whether a character is two cells, one above the other."""

    @property
    def step(self) -> int:
        """Tokens that a line of characters goes down."""
        return self.tall * (2 if self.halves else 1)


def lines(panel: Panel, tile: int, screen: Screen) -> Iterator[Text]:
    """The picture, with what is said of it above and the legend below."""
    gutter = _gutter(panel.queries)
    room = min(screen.width - gutter - len(panel.keys) - 2, _MOST_COLUMNS)
    scale = _scale(panel, room, tile, screen)
    yield from _above(panel, tile, screen)
    yield from _picture(panel, tile, scale, screen)
    yield from _below(panel, scale, tile, screen)


def _gutter(axis: Axis) -> int:
    """Columns for names and indices of queries."""
    names = max(len(part.name[:_LONGEST_NAME]) for part in axis)
    return names + 1 + max(len(str(part.tokens)) for part in axis)


def _scale(panel: Panel, room: int, tile: int, screen: Screen) -> _Scale:
    """As many tokens a cell as it needs to fit; about square, unless a side is very short."""
    queries, keys = panel.sizes
    most = _MOST_COLUMNS // 2
    if 2 * keys <= room and queries <= most:
        return _Scale(1, 1, 2, False)
    # The last cell of each segment may be cut short, so that there is one more.
    across = fitting(keys, max(room - len(panel.keys), 1), tile)
    wide = max(across, fitting(queries, 2 * max(most - len(panel.queries), 1), tile))
    tall = fitting(wide if screen.colored else 2 * wide, 1, tile)
    if queries < _FEWEST_ROWS * tall:
        tall = fitting(queries, _FEWEST_ROWS, tile)
    if keys < _FEWEST_COLUMNS * wide:
        wide = max(across, fitting(keys, _FEWEST_COLUMNS, tile))
    return _Scale(tall, wide, 1, screen.colored)


def _above(panel: Panel, tile: int, screen: Screen) -> Iterator[Text]:
    yield Text(words.heading(panel), "bold")
    said = [*words.masks(panel), words.figures(panel), words.tiles(panel, tile)]
    for text in said:
        for line in textwrap.wrap(text, screen.width - 1, subsequent_indent="  "):
            spaced = line.replace(_GLUE, " ")
            yield Text(spaced.translate(_PLAIN) if screen.ascii_only else spaced)


def _picture(panel: Panel, tile: int, scale: _Scale, screen: Screen) -> Iterator[Text]:
    gutter = _gutter(panel.queries)
    every = panel.cells(scale.tall, scale.wide, tile)
    yield Text(" " * (gutter + 1) + _names(panel.keys, scale))
    yield Text(" " * (gutter + 1) + _labels(panel.keys, scale), "dim")
    yield _rule(panel.keys, scale, tile, gutter, ("┌", "┬", "┐"), screen)
    first = 0
    for place, part in enumerate(panel.queries):
        if place:
            yield _rule(panel.keys, scale, 0, gutter, ("├", "┼", "┤"), screen)
        count = part.blocks(scale.tall)
        cells = every[first : first + count]
        first += count
        yield from _rows(part.name, part.tokens, cells, panel.keys, scale, (tile, gutter), screen)
    yield _rule(panel.keys, scale, 0, gutter, ("└", "┴", "┘"), screen)


def _names(axis: Axis, scale: _Scale) -> str:
    """Segments above their columns, cut where they are too long."""
    parts = []
    for part in axis:
        width = part.blocks(scale.wide) * scale.characters
        parts.append(part.name[:width].ljust(width))
    return " ".join(parts).rstrip()


def _labels(axis: Axis, scale: _Scale) -> str:
    """Indices of tokens above their columns, counted in each segment."""
    parts = []
    for part in axis:
        width = part.blocks(scale.wide) * scale.characters
        text = ""
        for column in range(0, width, _EVERY):
            label = str(column // scale.characters * scale.wide)
            if column + len(label) <= width and len(text) <= column:
                text = text.ljust(column) + label
        parts.append(text.ljust(width))
    return " ".join(parts).rstrip()


def _rule(
    axis: Axis, scale: _Scale, tile: int, gutter: int, ends: tuple[str, str, str], screen: Screen
) -> Text:
    """A line across; ticks where tiles begin, if a tile is given."""
    parts = []
    for part in axis:
        tick = tile // scale.wide * scale.characters if tile > scale.wide else 0
        width = part.blocks(scale.wide) * scale.characters
        parts.append("".join("┴" if tick and at and at % tick == 0 else "─" for at in range(width)))
    line = " " * gutter + ends[0] + ends[1].join(parts) + ends[2]
    return Text(line.translate(_PLAIN) if screen.ascii_only else line, "dim")


def _rows(
    name: str,
    tokens: int,
    cells: Shades,
    keys: Axis,
    scale: _Scale,
    frame: tuple[int, int],
    screen: Screen,
) -> Iterator[Text]:
    """The lines of a segment of queries."""
    tile, gutter = frame
    bar = "|" if screen.ascii_only else "│"
    lines = -(-tokens // scale.step)
    for line in range(lines):
        token = line * scale.step
        label = str(token) if line % (_EVERY // 2) == 0 else ""
        left = name[:_LONGEST_NAME] if line == 0 else ""
        text = Text(left).append(label.rjust(gutter - len(left)), "dim")
        ticked = line > 0 and tile > scale.step and token % tile == 0
        text.append("+" if ticked and screen.ascii_only else "┤" if ticked else bar, "dim")
        height = scale.step // scale.tall
        pair = cells[line * height : (line + 1) * height]
        first = 0
        for part in keys:
            count = part.blocks(scale.wide)
            text.append_text(_cells(pair[:, first : first + count], scale, screen))
            text.append(bar, "dim")
            first += count
        yield text


def _cells(cells: Shades, scale: _Scale, screen: Screen) -> Text:
    """A line of characters of one pair of segments."""
    if scale.halves:
        below = cells[1] if len(cells) > 1 else np.zeros_like(cells[0])
        pairs = zip(cells[0].tolist(), below.tolist(), strict=True)
        marks = [_halves(top, bottom) for top, bottom in pairs]
    else:
        marks = [_mark(cell, scale, screen) for cell in cells[0].tolist()]
    text = Text()
    for style, run in groupby(marks, key=itemgetter(1)):
        text.append("".join(character for character, _ in run), style)
    return text


def _mark(cell: int, scale: _Scale, screen: Screen) -> tuple[str, str]:
    """A cell of one character or more, and its style."""
    shown = IN_ASCII if screen.ascii_only else SHADES
    solid = screen.colored and cell not in (Cell.SKIPPED, Cell.WASTED)
    return ("█" if solid else shown[cell]) * scale.characters, COLORS[cell]


def _halves(top: int, bottom: int) -> tuple[str, str]:
    """A character of two colours, and its style."""
    if top == bottom:
        return (" ", "") if top == Cell.SKIPPED else ("█", COLORS[top])
    if top == Cell.SKIPPED:
        return "▄", COLORS[bottom]
    if bottom == Cell.SKIPPED:
        return "▀", COLORS[top]
    return "▀", f"{COLORS[top]} on {COLORS[bottom]}"


def _below(panel: Panel, scale: _Scale, tile: int, screen: Screen) -> Iterator[Text]:
    """What characters and colours mean."""
    tiled = max(scale.tall, scale.wide) <= tile
    shown = IN_ASCII if screen.ascii_only else SHADES
    items = []
    for cell in panel.kinds(scale.tall, scale.wide, tile):
        mark = "█" if screen.colored else shown[cell]
        item = Text("blank:" if cell == Cell.SKIPPED else mark * 2, COLORS[cell])
        items.append(item.append(f" {MEANINGS[tiled][cell]}", "not dim default"))
    yield from _wrapped(items, screen.width)
    times = "x" if screen.ascii_only else "×"
    if scale.tall * scale.wide > 1:
        size = f"a cell is {scale.tall} {times} {scale.wide} tokens, "
    else:
        size = ""
    if panel.sampled(scale.tall, scale.wide):
        size += "told by samples of their pairs, "
    how = f"{size}queries down, keys across, indices within segments"
    yield from (Text(line, "dim") for line in textwrap.wrap(how, screen.width - 1))


def _wrapped(items: list[Text], width: int) -> Iterator[Text]:
    """Items side by side, as many as fit."""
    line = Text()
    for item in items:
        if line and len(line) + 3 + len(item) >= width:
            yield line
            line = Text()
        line.append("   " if line else "").append_text(item)
    yield line
