"""The stream diagram: boxes and arrows from modalities through streams and fusions to heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from mmspec.cli import channel as channels
from mmspec.cli import layout
from mmspec.cli.canvas import Canvas
from mmspec.cli.layout import Layers, Node

_CAPS: Final = (30, 26, 22, 18, 15, 12)
_SHORTEST_CAP: Final = 9
_BORDERS: Final = {"head": "╔═╗║╚╝╤"}
_SPELT: Final = {"≤": "<=", "≥": ">=", "\N{MULTIPLICATION SIGN}": "x"}
_PLAIN_BORDER: Final = "┌─┐│└┘┬"
STYLES: Final = {
    "modality": "cyan",
    "stream": "green",
    "fusion": "magenta",
    "head": "yellow",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its id, its kind (modality, stream, fusion, head), its title and lines."""

    id: str
    kind: str
    title: str
    lines: tuple[str, ...]

    def texts(self, cap: int) -> list[str]:
        """Title and lines, each cut to `cap` columns."""
        texts = (self.title, *self.lines)
        return [text if len(text) <= cap else text[: cap - 1] + "…" for text in texts]

    def width(self, cap: int) -> int:
        """Columns of the box with its border and padding, an odd number."""
        return (max(len(text) for text in self.texts(cap)) + 4) | 1


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes, and who reads whom: (source, target)."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Drawing:
    """All that is known once boxes have their places."""

    boxes: dict[str, Box]
    layers: Layers
    centre: dict[Node, int]
    cap: int
    canvas: Canvas

    def box(self, node: Node) -> Box | None:
        """The box at a node; None where lines only pass."""
        box = self.boxes[node[0]]
        return box if node in self.boxes_at else None

    @cached_property
    def boxes_at(self) -> set[Node]:
        """The first node of each id is the box; the later ones are lines that pass."""
        first: dict[str, int] = {}
        for row in self.layers.rows:
            for name, level in row:
                first.setdefault(name, level)
        return set(first.items())

    def width(self, node: Node) -> int:
        """Columns a node takes."""
        box = self.box(node)
        if box is None:
            return 1
        return max(box.width(self.cap), 2 * len(self.layers.before(node)) + 3)


def draw(graph: Graph, columns: int, ascii_only: bool = False) -> Canvas | None:
    """Draw a graph within some columns; None where it cannot be made narrow enough."""
    graph = _in_ascii(graph) if ascii_only else graph
    ids = [box.id for box in graph.boxes]
    early = frozenset(box.id for box in graph.boxes if box.kind == "modality")
    layers = layout.layered(ids, list(graph.edges), early, columns)
    if layers is None:
        return None
    boxes = {box.id: box for box in graph.boxes}
    for cap in (*_CAPS, _SHORTEST_CAP):
        drawing = _Drawing(boxes, layers, {}, cap, Canvas())
        drawing.centre.update(layout.columns(layers, drawing.width))
        widest = max(drawing.centre[n] + drawing.width(n) // 2 + 1 for n in drawing.centre)
        if widest <= columns:
            return _draw(drawing)
    return None


def _in_ascii(graph: Graph) -> Graph:
    """The graph with its signs spelt out, before anything is measured."""
    boxes = (replace(box, lines=tuple(map(spelt, box.lines))) for box in graph.boxes)
    return Graph(tuple(boxes), graph.edges)


def spelt(text: str) -> str:
    """The text in ASCII: `<=` for its sign, `x` for the sign of a product."""
    for sign, word in _SPELT.items():
        text = text.replace(sign, word)
    return text


def _draw(drawing: _Drawing) -> Canvas:
    top = 0
    for level, row in enumerate(drawing.layers.rows):
        height = max(_height(drawing, node) for node in row)
        for node in row:
            _draw_node(drawing, node, top, height)
        top += height
        if level + 1 < len(drawing.layers.rows):
            top += _draw_channel(drawing, level, top)
    return drawing.canvas


def _height(drawing: _Drawing, node: Node) -> int:
    box = drawing.box(node)
    return len(box.lines) + 3 if box else 1


def _draw_node(drawing: _Drawing, node: Node, top: int, height: int) -> None:
    """A box, its line going on to the layer's foot where it is lower than its neighbours."""
    box, centre, canvas = drawing.box(node), drawing.centre[node], drawing.canvas
    goes_on = bool(drawing.layers.after(node))
    if box is None:
        canvas.vertical(centre, top, top + height - 1, frozenset())
        canvas.leave(top + height - 1, centre)
        return
    corner = _BORDERS.get(box.kind, _PLAIN_BORDER)
    width, style, texts = drawing.width(node), STYLES[box.kind], box.texts(drawing.cap)
    left = centre - width // 2
    canvas.text(top, left, corner[0] + corner[1] * (width - 2) + corner[2], style)
    for row, text in enumerate(texts, top + 1):
        canvas.text(row, left, corner[3], style)
        canvas.text(row, left + 2, text, f"bold {style}" if row == top + 1 else "")
        canvas.text(row, left + width - 1, corner[3], style)
    foot = top + len(texts) + 1
    canvas.text(foot, left, corner[4] + corner[1] * (width - 2) + corner[5], style)
    if goes_on:
        canvas.text(foot, centre, corner[6], style)
        if foot < top + height - 1:
            canvas.vertical(centre, foot + 1, top + height - 1, frozenset())
            canvas.leave(top + height - 1, centre)


def _draw_channel(drawing: _Drawing, level: int, top: int) -> int:
    """The lines between a layer and the next, with arrow heads; the rows they take."""
    layers, centre, canvas = drawing.layers, drawing.centre, drawing.canvas
    room = {node: max(drawing.width(node) // 2 - 1, 1) for node in layers.rows[level + 1]}
    found = channels.channel(layers, level, centre, room)
    arrow = top + found.height
    for row, (left, right) in found.spans:
        canvas.horizontal(top + row, left, right)
    for line in channels.uprights(layers, level, found, centre):
        first = 0 if line.top is None else line.top + 1
        last = found.height if line.bottom is None else line.bottom
        if line.top is not None:
            canvas.leave(top + line.top, line.column)
        over = {
            top + row
            for row, (low, high) in found.spans
            if first <= row < last and low <= line.column <= high
        }
        canvas.vertical(line.column, top + first, top + last, frozenset(over))
    for node, column in found.entries.items():
        if drawing.box(node) is None:
            centre[node] = column
            canvas.leave(arrow, column)
        else:
            canvas.text(arrow, column, "▼")
    return found.height + 1
