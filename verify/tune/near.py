"""How far from a query the keys may be that it sees, told by the patterns of a mask alone."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.relations.intervals import Intervals, joined
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import NONE, Mask, Pattern, fold

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
    return fold(
        mask,
        lambda pattern: _of_pattern(pattern, geometry),
        lambda operand: None,
        _nearer,
        _farther,
    )


def _of_pattern(pattern: Pattern, geometry: Geometry) -> Near | None:
    if pattern == NONE:
        return Near(0)
    if pattern.first is not None:
        queries, keys = pattern.first
        return Near(0, keys, queries)
    if pattern.facts.by == "grid" and len(geometry.axes) > 1:
        return _in_space(pattern, geometry)
    reach = pattern.along().reach
    return None if reach is None else Near(reach)


def _in_space(pattern: Pattern, geometry: Geometry) -> Near:
    """So far apart along each axis, in tokens."""
    strides, sizes = geometry.strides() or (), geometry.sizes({})
    reach = 0
    for axis, stride, size in zip(geometry.axes, strides, sizes, strict=True):
        own = pattern.along(axis.name).reach
        reach += stride * min(size - 1, size if own is None else own)
    return Near(reach)


def _nearer(one: Near | None, other: Near | None) -> Near | None:
    """What holds where both do."""
    found = [side for side in (one, other) if side is not None]
    return min(found, key=lambda side: side.reach + side.keys + side.queries, default=None)


def _farther(one: Near | None, other: Near | None) -> Near | None:
    """What holds where either does."""
    if one is None or other is None:
        return None
    return Near(*(max(getattr(one, x), getattr(other, x)) for x in ("reach", "keys", "queries")))
