"""Boxes and arrows -> places: a layered drawing, top to bottom (after Sugiyama, 1981)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_SWEEPS: Final = 8
_GAP: Final = 3

Node = tuple[str, int]
"""A box, or where the arrows of a box pass a layer: (id of the box, layer)."""


@dataclass(frozen=True)
class Layers:
    """Nodes by layer from left to right, and the arrows between neighbouring layers."""

    rows: list[list[Node]]
    arrows: list[tuple[Node, Node]]

    def before(self, node: Node) -> list[Node]:
        """Where arrows to the node come from."""
        return self._before.get(node, [])

    def after(self, node: Node) -> list[Node]:
        """Where arrows from the node go."""
        return self._after.get(node, [])

    @cached_property
    def _before(self) -> dict[Node, list[Node]]:
        return _listed((target, source) for source, target in self.arrows)

    @cached_property
    def _after(self) -> dict[Node, list[Node]]:
        return _listed(self.arrows)


def _listed(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, list[Node]]:
    found: dict[Node, list[Node]] = {}
    for one, other in pairs:
        found.setdefault(one, []).append(other)
    return found


def layered(
    boxes: list[str], edges: list[tuple[str, str]], early: frozenset[str], columns: int
) -> Layers | None:
    """Put every box below all it reads; boxes in `early` directly above their first reader.

    None where a layer has more nodes than fit side by side.
    """
    layer, most = _depths(boxes, edges), (columns + _GAP) // (1 + _GAP)
    readers: dict[str, list[int]] = {}
    for source, target in edges:
        readers.setdefault(source, []).append(layer[target])
    layer |= {box: min(readers.get(box, [1])) - 1 for box in early}
    rows: list[dict[Node, None]] = [{} for _ in range(max(layer.values(), default=0) + 1)]
    arrows: dict[tuple[Node, Node], None] = {}
    for box in boxes:
        rows[layer[box]][box, layer[box]] = None
    for source, target in edges:
        for level in range(layer[source], layer[target]):
            last = level + 1 == layer[target]
            below = (target if last else source, level + 1)
            arrows[(source, level), below] = None
            rows[level + 1][below] = None
            if len(rows[level + 1]) > most:
                return None
    if any(len(row) > most for row in rows):
        return None
    return _ordered(Layers([list(row) for row in rows], list(arrows)))


def _depths(boxes: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Length of the longest path to each box."""
    layer = dict.fromkeys(boxes, 0)
    for _ in boxes:
        before = dict(layer)
        for source, target in edges:
            layer[target] = max(layer[target], layer[source] + 1)
        if layer == before:
            break
    return layer


def _ordered(layers: Layers) -> Layers:
    """Order each layer by the mean place of its neighbours, down and up, to avoid crossings."""
    place = {node: index for row in layers.rows for index, node in enumerate(row)}
    for sweep in range(_SWEEPS):
        neighbours = layers.after if sweep % 2 else layers.before
        for row in reversed(layers.rows) if sweep % 2 else layers.rows:
            row.sort(key=_mean_place(neighbours, place))
            place |= {node: index for index, node in enumerate(row)}
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
