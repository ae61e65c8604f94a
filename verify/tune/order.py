"""Orders that the tokens of a segment may stand in, and the tiles that each order cuts.

rows: as they come. boxes: grids by neighbourhoods. lines: grids by their lines along an axis.
windows: grids by shifted windows. classes: every step-th token of a line together. bands: videos
by rows of a frame. own: each segment in an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Final, Literal

import numpy as np

from mmspec.compiler.relations.loops.tiles import Tile
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import Pattern
from mmspec.expressions.mask_patterns import Rule
from mmspec.verify.seen import Ints, Side

__all__ = ["ROWS", "Order", "Tiling", "orders", "tiled", "tiling"]

Kind = Literal["rows", "boxes", "lines", "windows", "classes", "bands", "own"]


@dataclass(frozen=True, slots=True)
class Order:
    """A way to order the segments of an attention; each as it comes where it has no such order."""

    kind: Kind = "rows"
    pattern: Pattern | None = None
    """What asks for the order."""
    segments: tuple[tuple[str, Order], ...] = ()
    """By name, where each has its own."""

    def __str__(self) -> str:
        """In words: `boxes`, `classes of step 4`."""
        if self.kind == "classes" and self.pattern:
            return f"classes of step {self.pattern.size('step')}"
        if self.kind == "lines" and self.pattern:
            return f"lines along {self.pattern.line}"
        if self.kind == "own":
            words = (str(order) for _, order in self.segments if order.kind != "rows")
            return " + ".join(dict.fromkeys(words))
        return "row-major" if self.kind == "rows" else self.kind


ROWS: Final = Order()

_WIDEST: Final = 64
"""Columns of a grid whose rows are boxes of their own."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of a segment: the part of its tokens that a tile lies in, and how many it holds there.

    boxes: so many tokens along each coordinate. Otherwise `sides` is one number: of tokens that
    stand together in `order`.
    """

    kind: Kind
    sides: Tile
    pattern: Pattern | None = None

    @property
    def tokens(self) -> int:
        """Of a whole tile."""
        return prod(self.sides)

    @property
    def single(self) -> Tiling:
        """Tiles of one token each."""
        return replace(self, sides=(1,) * len(self.sides))

    def count(self, place: Side) -> int:
        """How many tiles a segment has."""
        if self.kind == "windows":
            assert self.pattern is not None, self
            (tile,) = self.sides
            return sum(many * -(-area // tile) for area, many in windows(place, self.pattern))
        if self.kind == "rows":
            return -(-place.stop // self.sides[0])
        if self.kind == "classes":
            step = self._size("step")
            longer = place.stop % step
            return sum(
                number * -(-tokens // self.sides[0])
                for number, tokens in (
                    (longer, place.stop // step + 1),
                    (step - longer, place.stop // step),
                )
            )
        sizes = place.geometry.sizes(place.lengths)
        return prod(-(-size // side) for size, side in zip(sizes, self.sides, strict=True))

    def text(self) -> str:
        """`64`, or `8 x 8` of a grid."""
        return " × ".join(str(side) for side in self.sides if self.kind != "lines" or side > 1)

    def places(self, geometry: Geometry) -> str | None:
        """For isl: the tile of a token in its coordinates; None: not affine."""
        names = geometry.names("t")
        if self.kind in ("boxes", "lines"):
            parts = (f"floor({n}/{b})" for n, b in zip(names, self.sides, strict=True))
            return f"{{ [{', '.join(names)}] -> [{', '.join(parts)}] }}"
        if self.kind == "windows":
            return None
        strides = geometry.strides()
        assert strides is not None, geometry
        index = " + ".join(f"{stride}{n}" for stride, n in zip(strides, names, strict=True))
        (tile,) = self.sides
        if self.kind == "classes":
            step = self._size("step")
            return f"{{ [{names[0]}] -> [{names[0]} mod {step}, floor({names[0]}/{step * tile})] }}"
        return f"{{ [{', '.join(names)}] -> [floor(({index})/{tile})] }}"

    def numbers(self, place: Side) -> Ints:
        """The tile of each token of a segment, as numbers that rise with nothing else in mind."""
        if self.kind == "rows":
            return place.index // self.sides[0]
        if self.kind in ("boxes", "lines"):
            sizes = place.geometry.sizes(place.lengths)
            parts = [
                x // b
                for x, b in zip(place.coordinates(place.index).values(), self.sides, strict=True)
            ]
            return _joined(parts, [-(-n // b) for n, b in zip(sizes, self.sides, strict=True)])
        (tile,) = self.sides
        classes = self._classes(place)
        by_class = np.argsort(classes, kind="stable")
        _, first, many = np.unique(classes[by_class], return_index=True, return_counts=True)
        within = np.empty_like(classes)
        within[by_class] = np.arange(len(classes)) - np.repeat(first, many)
        return classes * (len(classes) // tile + 1) + within // tile

    def _classes(self, place: Side) -> Ints:
        """Which tokens stand together."""
        if self.kind == "classes":
            return place.index % self._size("step")
        assert self.pattern is not None, self
        parts, counts = [], []
        for name, x in place.coordinates(place.index).items():
            rule = self.pattern.along(name)
            assert rule.size is not None, self
            parts.append((x - rule.begin + rule.size) // rule.size)
            counts.append(int(parts[-1].max()) + 1 if len(x) else 1)
        return _joined(parts, counts)

    def _size(self, name: str) -> int:
        assert self.pattern is not None, self
        return self.pattern.size(name)


def windows(place: Side, pattern: Pattern) -> list[tuple[int, int]]:
    """The windows into which a shifted window cuts a segment: tokens, and how many have so many."""
    areas = {1: 1}
    for axis, size in zip(place.geometry.axes, place.geometry.sizes(place.lengths), strict=True):
        found: dict[int, int] = {}
        cut = _cut(size, pattern.along(axis.name))
        for (area, number), (part, many) in product(areas.items(), cut.items()):
            found[area * part] = found.get(area * part, 0) + number * many
        areas = found
    return [(area, number) for area, number in areas.items() if area and number]


def _cut(size: int, rule: Rule) -> dict[int, int]:
    """The windows' extents along an axis, and how many there are of each."""
    wide = rule.size or 1
    first = min(rule.begin, size)
    number, last = divmod(size - first, wide)
    found = {wide: number}
    for part in (first, last):
        if part:
            found[part] = found.get(part, 0) + 1
    return found


def _joined(parts: list[Ints], counts: list[int]) -> Ints:
    """One number of several, row by row."""
    found = parts[0]
    for part, count in zip(parts[1:], counts[1:], strict=True):
        found = found * count + part
    return found


def orders(segments: Iterable[tuple[Geometry, frozenset[Pattern]]]) -> tuple[Order, ...]:
    """The orders worth a look, given each segment and the patterns of its masks."""
    found = (order for geometry, shown in segments for order in _orders(geometry, shown))
    return tuple(dict.fromkeys((ROWS, *found)))


def _orders(geometry: Geometry, shown: frozenset[Pattern]) -> Iterator[Order]:
    named = sorted(shown, key=str)
    if len(geometry.axes) == 1:
        steps = {pattern.along().step for pattern in named} - {None}
        if len(steps) == 1 and 1 not in steps:
            (step,) = steps
            yield Order("classes", Pattern("strided", (("step", step or 1),)))
        return
    columns = geometry.axes[-1].size
    if any(pattern.facts.by == "grid" for pattern in named):
        yield Order("boxes")
    elif geometry.symbols and isinstance(columns, int) and columns <= _WIDEST:
        yield Order("bands")
    for pattern in named:
        if pattern.is_windows:
            yield Order("windows", pattern)
        elif pattern.line is not None and geometry.place(pattern.line) is not None:
            yield Order("lines", pattern)


@lru_cache(maxsize=4096)
def tiling(order: Order, geometry: Geometry, shown: frozenset[Pattern], tokens: int) -> Tiling:
    """The tiles of a segment in an order; as its tokens come where it has no such order."""
    if order not in _orders(geometry, shown):
        return Tiling("rows", (tokens,))
    return tiled(order, geometry, shown, tokens)


def tiled(order: Order, geometry: Geometry, shown: frozenset[Pattern], tokens: int) -> Tiling:
    """The tiles of a segment in an order that it has."""
    if order.kind == "bands":
        columns = geometry.axes[-1].size
        assert isinstance(columns, int), geometry
        return Tiling("boxes", (1, max(tokens // columns, 1), columns)[-len(geometry.axes) :])
    if order.kind == "boxes":
        near = any(pattern.is_deep for pattern in shown)
        return Tiling("boxes", _box(len(geometry.axes), tokens, near))
    if order.kind == "lines":
        assert order.pattern is not None
        along = geometry.place(str(order.pattern.line))
        sides = tuple(tokens if at == along else 1 for at in range(len(geometry.axes)))
        return Tiling("lines", sides, order.pattern)
    return Tiling(order.kind, (tokens,), order.pattern)


def _box(axes: int, tokens: int, near: bool) -> Tile:
    """Near to a cube (in frames: near to a square), the last coordinate the longest."""
    free = axes if near else 2
    sides = [1] * axes
    turn = 0
    while prod(sides) < tokens:
        sides[axes - 1 - turn % free] *= 2
        turn += 1
    return tuple(sides)
