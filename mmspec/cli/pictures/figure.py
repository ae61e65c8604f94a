"""Masks as a figure: cells, the grid of tiles, borders of modalities, indices, a legend."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from mmspec.cli.pictures import words
from mmspec.cli.pictures.panel import Axis, Cell, Panel, fitting
from mmspec.cli.pictures.scene import (
    CHARACTER,
    FAINT,
    INK,
    Fill,
    Item,
    Line,
    Scene,
    Words,
    merged,
)

COLORS: Final = {
    Cell.SKIPPED: "#eceff1",
    Cell.WASTED: "#fde6c0",
    Cell.PARTLY: "#f5bd5a",
    Cell.BORDER: "#d97f00",
    Cell.WHOLE: "#0f5fa6",
}
_GRID: Final = "#ffffff"
_MARGIN: Final = 28
_LEFT: Final = 56
"""From the left of a panel to its cells, but for the indices there."""
_ABOVE: Final = 62
"""From the text above a panel to its cells."""
_TEXT: Final = 13
_SMALL: Final = 11
_NARROWEST: Final = 560
_LARGEST: Final = 28
"""Pixels of a cell."""
_LEAST: Final = 96
"""Pixels of a side, at least."""
_MOST_LINES: Final = 9


@dataclass(frozen=True, slots=True)
class _Plot:
    """A panel, tokens of a cell down and across, pixels of a cell down and across."""

    panel: Panel
    tile: int
    tokens: tuple[int, int]
    pixels: tuple[int, int]
    named: bool
    """Whether its heading stands above it."""

    def size(self, axis: int) -> int:
        """Pixels of all cells along an axis: 0 down, 1 across."""
        parts = (self.panel.queries, self.panel.keys)[axis]
        return sum(part.blocks(self.tokens[axis]) for part in parts) * self.pixels[axis]

    @property
    def width(self) -> int:
        """Pixels across, the names on the left included."""
        return self.left + max(self.size(1), 420)

    @property
    def left(self) -> int:
        """From its left to its cells."""
        longest = max(len(_index(part.tokens, part.tokens)) for part in self.panel.queries)
        return _LEFT + int(longest * _SMALL * CHARACTER) + 4

    def text(self) -> list[tuple[str, int, str]]:
        """What stands above it: lines with their size and color."""
        found = [(words.heading(self.panel), 17, INK)] if self.named else []
        masks = words.masks(self.panel)
        if len(masks) > _MOST_LINES:
            masks = [*masks[: _MOST_LINES - 1], f"and {len(masks) - _MOST_LINES + 1} more pairs"]
        said = [(line, INK) for line in masks]
        said += [(words.figures(self.panel), FAINT), (words.tiles(self.panel, self.tile), FAINT)]
        letters = int(self.width / (_TEXT * CHARACTER))
        for line, color in said:
            parts = textwrap.wrap(line, letters, subsequent_indent="    ")
            found += [(part, _TEXT, color) for part in parts]
        return found

    @property
    def height(self) -> int:
        """Pixels down, the text above included."""
        return 10 + 19 * len(self.text()) + _ABOVE + self.size(0)


def figure(name: str, shown: list[tuple[Panel, int]], most: int = 1024) -> Scene:
    """A figure of panels, each with its tile; `most`: cells along a side."""
    alone = len(shown) == 1
    plots = [_plot(panel, tile, most if alone else most // 2, not alone) for panel, tile in shown]
    about = words.heading(shown[0][0]) if alone else shown[0][0].stream
    scene = Scene(f"{name}: who sees whom in {about}")
    title = Words((_MARGIN, _MARGIN + 18), scene.title, 22, bold=True)
    scene.items.append(title)
    top, right = _MARGIN + 34, 0
    for first in range(0, len(plots), 2):
        left = _MARGIN
        row = plots[first : first + 2]
        text = max(len(plot.text()) for plot in row)
        for plot in row:
            scene.items += _panel(plot, left, top, 10 + 19 * text)
            left += plot.width + _MARGIN
        right = max(right, left)
        top += 10 + 19 * text + _ABOVE + max(plot.size(0) for plot in row) + 26
    scene.width = max(right, _NARROWEST, _MARGIN * 2 + int(title.width))
    bottom = _legend(scene, plots, top + 8)
    scene.height = bottom + _MARGIN
    return scene


def _plot(panel: Panel, tile: int, most: int, named: bool) -> _Plot:
    queries, keys = panel.sizes
    longest = fitting(max(queries, keys), most, tile)
    tokens = tuple(
        fitting(size, min(most, max(-(-size // longest), 48)), tile) for size in (queries, keys)
    )
    counts = [
        sum(part.blocks(size) for part in axis)
        for axis, size in zip((panel.queries, panel.keys), tokens, strict=True)
    ]
    room = most * 4 // 5
    pixels = min(max(room // max(counts), 1), _LARGEST)
    sides = tuple(max(pixels, -(-_LEAST // count)) for count in counts)
    return _Plot(panel, tile, (tokens[0], tokens[1]), (sides[0], sides[1]), named)


def _panel(plot: _Plot, left: int, top: int, text: int) -> Iterator[Item]:
    """A panel whose corner is at (left, top); `text`: the height of the text above."""
    for place, (line, size, color) in enumerate(plot.text()):
        yield Words((left, top + 20 + 19 * place), line, size, color=color, bold=size > _TEXT)
    corner = left + plot.left, top + text + _ABOVE
    yield from _cells(plot, *corner)
    yield from _grid(plot, *corner)
    yield from _borders(plot, *corner)
    yield from _names(plot, *corner)


def _cells(plot: _Plot, left: int, top: int) -> Iterator[Fill]:
    """A fill for each kind of cell."""
    cells = plot.panel.cells(*plot.tokens, plot.tile)
    tall, wide = plot.pixels
    for kind, color in COLORS.items():
        boxes = tuple(
            (left + x * wide, top + y * tall, w * wide, h * tall)
            for x, y, w, h in merged(cells, kind)
        )
        if boxes:
            yield Fill(color, boxes)


def _starts(plot: _Plot, axis: int) -> Iterator[tuple[int, int, str, int]]:
    """Of each segment: its first pixel and the one after its last, its name and its tokens."""
    at = 0
    parts: Axis = (plot.panel.queries, plot.panel.keys)[axis]
    for part in parts:
        size = part.blocks(plot.tokens[axis]) * plot.pixels[axis]
        yield at, at + size, part.name, part.tokens
        at += size


def _grid(plot: _Plot, left: int, top: int) -> Iterator[Line]:
    """Lines between tiles that are large enough to be seen apart."""
    height, width = plot.size(0), plot.size(1)
    for axis in (0, 1):
        step = plot.tile // plot.tokens[axis] * plot.pixels[axis]
        if step < 6:
            continue
        for first, stop, _, _ in _starts(plot, axis):
            for at in range(first + step, stop, step):
                ends = ((left, top + at), (left + width, top + at))
                if axis:
                    ends = ((left + at, top), (left + at, top + height))
                yield Line(*ends, 1, _GRID)


def _borders(plot: _Plot, left: int, top: int) -> Iterator[Line]:
    """Lines around all and between modalities."""
    height, width = plot.size(0), plot.size(1)
    for axis in (0, 1):
        stops = [0, *(stop for _, stop, _, _ in _starts(plot, axis))]
        for at in stops:
            ends = ((left - 1, top + at), (left + width + 1, top + at))
            if axis:
                ends = ((left + at, top - 1), (left + at, top + height + 1))
            yield Line(*ends, 2, INK)


def _names(plot: _Plot, left: int, top: int) -> Iterator[Item]:
    """Segments by name, and the indices of their tokens."""
    yield Words((left + plot.size(1) / 2, top - 46), "keys", 12, "middle", FAINT)
    yield Words(
        (left - plot.left + 12, top + plot.size(0) / 2), "queries", 12, "middle", FAINT, turned=True
    )
    for axis in (0, 1):
        for first, stop, name, tokens in _starts(plot, axis):
            middle = (first + stop) / 2
            shown = _cut(name, stop - first)
            if axis:
                yield Words((left + middle, top - 28), shown, 14, "middle", bold=True)
            else:
                place = (left - plot.left + 32, top + middle)
                yield Words(place, shown, 14, "middle", bold=True, turned=True)
            for at, label in _ticks(plot, axis, stop - first, tokens):
                if axis:
                    x = left + first + at
                    yield Line((x, top - 6), (x, top - 1), 1, INK)
                    yield Words((x, top - 10), label, _SMALL, "middle", FAINT)
                else:
                    y = top + first + at
                    yield Line((left - 6, y), (left - 1, y), 1, INK)
                    yield Words((left - 9, y + 4), label, _SMALL, "end", FAINT)


def _cut(name: str, room: int) -> str:
    """As much of a name as has room."""
    letters = int(room / (14 * CHARACTER))
    return name if len(name) <= letters else name[: max(letters - 1, 1)] + "."


def _ticks(plot: _Plot, axis: int, size: int, tokens: int) -> Iterator[tuple[float, str]]:
    """Pixels within a segment, and the index of the token that begins there."""
    scale = plot.pixels[axis] / plot.tokens[axis]
    apart = 44 if axis else 26
    tile = plot.tile
    step = next(s for s in _steps(tile) if s * scale >= apart)
    for token in range(0, tokens, step):
        at = token * scale
        if size - at >= apart / 2 or token == 0:
            yield at, _index(token, tokens)


def _index(token: int, tokens: int) -> str:
    """With commas where the indices of a segment are long."""
    return f"{token:,}" if tokens >= 10_000 else str(token)


def _steps(tile: int) -> Iterator[int]:
    """Tokens from one label to the next: parts of tiles, or several."""
    yield from (size for size in range(1, tile) if tile % size == 0)
    while True:
        yield tile
        tile *= 2


def _legend(scene: Scene, plots: list[_Plot], top: int) -> int:
    """Add a sample of each color and what it means; return where they end."""
    found = {kind for plot in plots for kind in plot.panel.kinds(*plot.tokens, plot.tile)}
    sizes = {plot.tokens for plot in plots if max(plot.tokens) > 1}
    grain = " or ".join(f"{tall} {words.TIMES} {wide}" for tall, wide in sorted(sizes))
    tiled = any(max(plot.tokens) <= plot.tile for plot in plots)
    meanings = {
        Cell.WHOLE: "visible, in a tile seen whole" if tiled else "all visible",
        Cell.BORDER: "visible, in a tile seen in part",
        Cell.PARTLY: f"some pairs visible in a cell of {grain}",
        Cell.WASTED: "hidden, in a tile that is touched",
        Cell.SKIPPED: "hidden, tile skipped" if tiled else "hidden",
    }
    left = _MARGIN
    for kind in sorted(found, reverse=True):
        label = Words((left + 24, top + 13), meanings[kind], 12)
        if left > _MARGIN and left + 24 + label.width > scene.width - _MARGIN:
            left, top = _MARGIN, top + 26
            label = replace(label, at=(left + 24, top + 13))
        edge, box = (left - 1, top - 1, 18, 18), (left, top, 16, 16)
        scene.items += [Fill("#9aa0a6", (edge,)), Fill(COLORS[kind], (box,)), label]
        left += 24 + int(label.width) + 22
    return top + 18
