"""How far from a query the keys may be that it sees, told by the patterns of a mask alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Final

from mmspec.compiler.relations.intervals import Intervals, joined
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import Mask, Pattern, fold

__all__ = ["Near", "near"]


@dataclass(frozen=True, slots=True)
class Near:
    """Keys at most `reach` tokens away, or among the first `keys`; all, for the first `queries`."""

    reach: int
    keys: int = 0
    queries: int = 0

    def of(self, start: int, stop: int, keys: int, tile: int) -> Intervals:
        """Whole tiles of keys that hold all that queries from start to stop may see."""
        if start < self.queries:
            return ((0, keys),)
        parts = (0, self.keys), (max(start - self.reach, 0), stop + self.reach)
        ends = ((a // tile * tile, min(-(-b // tile) * tile, keys)) for a, b in parts)
        return joined(ends)

    def pairs(self, queries: int, keys: int) -> int:
        """At most so many are looked at."""
        most = min(2 * self.reach + self.keys, keys)
        return self.queries * keys + queries * most


def near(mask: Mask, geometry: Geometry) -> Near | None:
    """Within one segment of known size; None where keys may be anywhere."""

    def of_pattern(pattern: Pattern) -> Near | None:
        rule = _RULES.get(pattern.name)
        return rule(pattern, geometry) if rule else None

    return fold(mask, of_pattern, lambda operand: None, _nearer, _farther)


def _nearer(one: Near | None, other: Near | None) -> Near | None:
    """What holds where both do."""
    found = [side for side in (one, other) if side is not None]
    return min(found, key=lambda side: side.reach + side.keys + side.queries, default=None)


def _farther(one: Near | None, other: Near | None) -> Near | None:
    """What holds where either does."""
    if one is None or other is None:
        return None
    return Near(*(max(getattr(one, x), getattr(other, x)) for x in ("reach", "keys", "queries")))


def _space(geometry: Geometry, frames: int, rows: int, columns: int) -> Near:
    """So far apart along each axis, in tokens."""
    strides = (0, 0, *(geometry.strides() or ()))[-3:]
    return Near(sum(n * by for n, by in zip((frames, rows, columns), strides, strict=True)))


def _around(pattern: Pattern, geometry: Geometry) -> Near:
    radius = pattern.size("radius")
    return _space(geometry, radius * (pattern.name == "window3d"), radius, radius)


def _axial(pattern: Pattern, geometry: Geometry) -> Near | None:
    place = geometry.place(str(pattern.get("axis")))
    return None if place is None else _within(geometry, place)


def _within(geometry: Geometry, place: int) -> Near:
    """Among tokens whose coordinates before that one are equal."""
    sizes = (axis.size for axis in geometry.axes[place:])
    return Near(prod(size for size in sizes if isinstance(size, int)))


_RULES: Final[dict[str, Callable[[Pattern, Geometry], Near | None]]] = {
    "none": lambda pattern, geometry: Near(0),
    "window": lambda pattern, geometry: Near(max(pattern.size("before"), pattern.size("after"))),
    "dilated": lambda pattern, geometry: Near(pattern.size("reach")),
    "block": lambda pattern, geometry: Near(pattern.size("size")),
    "shifted_window": lambda pattern, geometry: (
        _space(geometry, 0, pattern.size("size"), pattern.size("size"))
        if len(geometry.axes) > 1
        else Near(pattern.size("size"))
    ),
    "global": lambda pattern, geometry: Near(0, pattern.size("count"), pattern.size("count")),
    "prefix": lambda pattern, geometry: Near(0, pattern.size("length")),
    "window2d": _around,
    "window3d": _around,
    "axial": _axial,
    "frame": lambda pattern, geometry: _within(geometry, 1),
}
