"""Tiles of masks of lines, by the intervals of keys that each tile of queries sees."""

from __future__ import annotations

from math import prod

from mmspec.expressions.mask import Mask, Not
from mmspec.verify.costs.touched import touched
from mmspec.verify.seen import Side
from mmspec.verify.tune.counted import Tiles, Tilings

__all__ = ["by_intervals", "seen_by_intervals"]


def by_intervals(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles | None:
    """The tiles of a mask between lines; None where they are not told so."""
    seen = seen_by_intervals(mask, query, key, tilings)
    hidden = None if seen is None else seen_by_intervals(Not(mask), query, key, tilings)
    if seen is None or hidden is None:
        return None
    every = prod(tiling.count(place) for tiling, place in zip(tilings, (query, key), strict=True))
    return Tiles(seen, every - hidden)


def seen_by_intervals(mask: Mask, query: Side, key: Side, tilings: Tilings) -> int | None:
    """How many tiles hold a visible pair, likewise."""
    lines = all(len(place.geometry.axes) == 1 for place in (query, key))
    if not lines or {tiling.kind for tiling in tilings} != {"rows"}:
        return None
    return touched(mask, (query.stop, key.stop), (tilings[0].tokens, tilings[1].tokens))
