"""Tiles of masks of lines, by what each tile of queries sees: intervals of keys, or distances."""

from __future__ import annotations

from math import prod

from mmspec.expressions.mask import Mask, Not
from mmspec.verify.costs.stepped import touched_apart, touched_in_classes
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
    kinds, tokens = {tiling.kind for tiling in tilings}, (query.stop, key.stop)
    tile = tilings[0].tokens, tilings[1].tokens
    if any(len(place.geometry.axes) != 1 for place in (query, key)):
        return None
    if kinds == {"rows"}:
        found = touched(mask, tokens, tile)
        return touched_apart(mask, tokens, tile) if found is None else found
    steps = {tiling.pattern.size("step") for tiling in tilings if tiling.pattern is not None}
    if kinds == {"classes"} and len(steps) == 1:
        return touched_in_classes(mask, tokens, tile, *steps)
    return None
