"""Boxes and arrows -> places: a layered drawing, top to bottom (after Sugiyama, 1981)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_SWEEPS: Final = 8
_GAP: Final = 3

Node = tuple[str, int]
"""A box, or where the arrows of a box pass a layer: (id of the box, layer)."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Nodes by layer from left to right, and the arrows between neighbouring layers."""

    rows: list[list[Node]]
    arrows: list[tuple[Node, Node]]

    def before(self, node: Node) -> list[Node]:
        """Where arrows to the node come from."""
        return [source for source, target in self.arrows if target == node]

    def after(self, node: Node) -> list[Node]:
        """Where arrows from the node go."""
        return [target for source, target in self.arrows if source == node]


def layered(boxes: list[str], edges: list[tuple[str, str]], early: frozenset[str]) -> Layers:
    """Put every box below all it reads; boxes in `early` directly above their first reader."""
    layer = _depths(boxes, edges)
    for box in early:
        readers = [layer[target] for source, target in edges if source == box]
        layer[box] = min(readers, default=1) - 1
    rows: list[list[Node]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    arrows: dict[tuple[Node, Node], None] = {}
    for box in boxes:
        rows[layer[box]].append((box, layer[box]))
    for source, target in edges:
        for level in range(layer[source], layer[target]):
            last = level + 1 == layer[target]
            below = (target if last else source, level + 1)
            arrows[(source, level), below] = None
            if below not in rows[level + 1]:
                rows[level + 1].append(below)
    return _ordered(Layers(rows, list(arrows)))


def _depths(boxes: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Length of the longest path to each box."""
    layer = dict.fromkeys(boxes, 0)
    for _ in boxes:
        for source, target in edges:
            layer[target] = max(layer[target], layer[source] + 1)
    return layer


def _ordered(layers: Layers) -> Layers:
    """Order each layer by the mean place of its neighbours, down and up, to avoid crossings."""
    for sweep in range(_SWEEPS):
        neighbours = layers.after if sweep % 2 else layers.before
        for row in reversed(layers.rows) if sweep % 2 else layers.rows:
            place = {node: index for other in layers.rows for index, node in enumerate(other)}
            row.sort(key=_mean_place(neighbours, place))
    return layers


def _mean_place(
    neighbours: Callable[[Node], list[Node]], place: dict[Node, int]
) -> Callable[[Node], float]:
    def mean(node: Node) -> float:
        found = [place[other] for other in neighbours(node)]
        return sum(found) / len(found) if found else place[node]

    return mean


def columns(layers: Layers, width: Callable[[Node], int]) -> dict[Node, int]:
    """The centre column of each node: near its neighbours, boxes never touching."""
    centre: dict[Node, int] = {}
    for row in layers.rows:
        _push(row, centre, dict.fromkeys(row, 0), width)
    for sweep in range(2 * _SWEEPS):
        neighbours = layers.before if sweep % 2 else layers.after
        for row in layers.rows if sweep % 2 else reversed(layers.rows):
            wanted = {
                node: round(sum(centre[n] for n in near) / len(near)) if near else centre[node]
                for node in row
                for near in [neighbours(node)]
            }
            _push(row, centre, wanted, width)
    left = min((centre[node] - width(node) // 2 for node in centre), default=0)
    return {node: column - left for node, column in centre.items()}


def _push(
    row: list[Node],
    centre: dict[Node, int],
    wanted: dict[Node, int],
    width: Callable[[Node], int],
) -> None:
    """Nodes at the columns wanted, pushed apart evenly to both sides where they would touch."""
    right = _pushed(row, wanted, width)
    mirrored = {node: -column for node, column in wanted.items()}
    left = {n: -c for n, c in _pushed(row[::-1], mirrored, width).items()}
    centre.update({node: (right[node] + left[node]) // 2 for node in row})


def _pushed(
    row: list[Node], wanted: dict[Node, int], width: Callable[[Node], int]
) -> dict[Node, int]:
    """Nodes from left to right, each as far left as wanted and the one before allow."""
    found: dict[Node, int] = {}
    edge: int | None = None
    for node in row:
        half = width(node) // 2
        least = wanted[node] if edge is None else edge + _GAP + half
        found[node] = max(wanted[node], least)
        edge = found[node] + half + 1
    return found
