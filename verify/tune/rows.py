"""Tiles of a mask of lines, counted by loops over them."""

from __future__ import annotations

from functools import lru_cache

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.loops.faithful import proved
from mmspec.compiler.relations.loops.planned import granted
from mmspec.compiler.relations.loops.schedule import Schedule
from mmspec.compiler.relations.loops.totals import TooManyRunsError, visited
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.compiler.relations.meaning.relation import Relation, relation
from mmspec.expressions.mask import Mask
from mmspec.verify.seen import Side
from mmspec.verify.tune.counted import Tiles, Tilings, known, related

__all__ = ["by_rows"]

_OPERATIONS = 1_000_000
_LONG = 240_000
"""Those where numbers are long, of which a part is granted."""


def by_rows(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles | None:
    """The tiles of a mask between lines whose tiles are runs; None where that takes too long."""
    geometry, other = known(query), known(key)
    if len(geometry.axes) != 1 or len(other.axes) != 1:
        return None
    found = _schedule(mask, geometry, other, tilings)
    if found is None:
        return None
    try:
        return Tiles(*visited(found, {}))
    except TooManyRunsError:
        return None


@lru_cache(maxsize=64)
def _relation(mask: Mask, query: Geometry, key: Geometry) -> Relation | None:
    """Of a mask, which tiles of all sizes ask for; None where isl does not say what it is."""
    try:
        with limited(_OPERATIONS):
            return relation(mask, query, key)
    except TooHardError:
        return None


@lru_cache(maxsize=256)
def _schedule(mask: Mask, query: Geometry, key: Geometry, tilings: Tilings) -> Schedule | None:
    sides = tilings[0].sides, tilings[1].sides
    shown = _relation(mask, query, key)
    if shown is None:
        return None
    try:
        long = granted(_LONG, shown, sides)
        operations = _OPERATIONS if long == _LONG else long
        with limited(operations):
            maps = related(shown, tilings)
            assert maps is not None, tilings
            touched, mixed = maps
            context = isl.Set(f"[i] -> {{ : 0 <= i and {sides[0][0]} * i < {query.axes[0].size} }}")
            tiles = {True: touched.subtract(mixed), False: mixed}
            body = proved(tiles, context, shown.tile_names, operations)
    except TooHardError:
        return None
    return None if body is None else Schedule(shown, *sides, body)
