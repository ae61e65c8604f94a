"""Pairs in the tiles that a kernel works through: every tile in which one pair is visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.geometry import Axis, Geometry
from mmspec.expressions.mask import FULL, Mask, patterns
from mmspec.verify.costs.total import stack_of
from mmspec.verify.costs.visible import undivided, visible

if TYPE_CHECKING:
    from mmspec.verify.seen import Side

TILE: Final = (64, 64)
"""Queries and keys."""

_SMALL: Final = 2**20
"""Pairs that one table may hold; longer segments are decided by the loops of the relation."""

_LARGE: Final = 2**28
"""Pairs that are looked at, row by row of tiles, where loops say nothing."""

_OPERATIONS: Final = 300_000


def executed_pairs(
    plan: ir.Plan, stream_name: str, lengths: Mapping[str, int], tile: tuple[int, int] = TILE
) -> int | Fraction | None:
    """Pairs of itself executed in a layer of a stream, the mean over layers and heads, in a sample.

    None where they cannot be counted in bounded time.

    lengths: tokens by modality, the longest where not named. Segments have tiles of their own,
    and the last tile of a segment counts whole.
    """
    stack = stack_of(plan, stream_name)
    pairs = Fraction(0)
    for block, count in stack.runs():
        for site in (site for site in block.attentions if site.own):
            tiles = _site_tiles(site, lengths, tile)
            if tiles is None:
                return None
            share = Fraction(count, site.heads * stack.depth)
            pairs += share * (tiles * tile[0] * tile[1])
    return int(pairs) if pairs.denominator == 1 else pairs


def _site_tiles(
    site: ir.Attention, lengths: Mapping[str, int], tile: tuple[int, int]
) -> int | None:
    """Of all heads of a site."""
    known, tiles = {segment.name: segment for segment in site.queries}, 0
    for group in site.groups:
        for query, key, mask in group.masks:
            found = _tiles(mask, known[query], known[key], lengths, tile)
            if found is None:
                return None
            tiles += group.heads * found
    return tiles


def _tiles(
    mask: Mask,
    query: ir.Segment,
    key: ir.Segment,
    lengths: Mapping[str, int],
    tile: tuple[int, int],
) -> int | None:
    """Of a pair of segments; a single tile needs no table, and so no numpy."""
    sizes = tuple(s.count(lengths) for s in (query, key))
    if mask == FULL:
        return -(-sizes[0] // tile[0]) * -(-sizes[1] // tile[1])
    if sizes[0] <= tile[0] and sizes[1] <= tile[1]:
        tokens = {s.tokens.symbol: n for s, n in zip((query, key), sizes, strict=True)}
        known = {symbol: n for symbol, n in tokens.items() if symbol is not None}
        return int(visible(query, key, mask, (sizes[0], sizes[1])).evaluate(known) > 0)
    from mmspec.verify.seen import side

    return touched_tiles(mask, side(query, lengths), side(key, lengths), tile)


@lru_cache(maxsize=4096)
def touched_tiles(mask: Mask, query: Side, key: Side, tile: tuple[int, int]) -> int | None:
    """Tiles with a visible pair; tokens of a grid in the order of rows.

    None where neither loops nor tables can count them in bounded time.
    """
    if query.stop * key.stop <= _SMALL:
        return _by_table(mask, query, key, tile)
    if all(len(place.geometry.axes) == 1 for place in (query, key)):
        from mmspec.verify.costs.stepped import touched_apart
        from mmspec.verify.costs.touched import touched

        plain, tokens = undivided(mask), (query.stop, key.stop)
        found = touched(plain, tokens, tile)
        found = touched_apart(plain, tokens, tile) if found is None else found
        if found is not None:
            return found
    from mmspec.compiler.relations.meaning.terms import settled

    mask = settled(undivided(mask), key.most)
    if _is_jagged(mask, query, key) and query.stop * key.stop > _LARGE:
        return None
    if is_closed(mask):
        found = _by_loops(mask, query, key, tile)
    else:
        found = _by_draws(mask, query, key, tile)
    if found is None and query.stop * key.stop <= _LARGE:
        tall = tile[0]
        parts = (query.part(row, row + tall) for row in range(0, query.stop, tall))
        found = sum(_by_table(mask, part, key, tile) for part in parts)
    return found


def _is_jagged(mask: Mask, query: Side, key: Side) -> bool:
    """Whether windows of a grid are cut by tiles of its rows, which isl answers late or never."""
    grids = any(len(side.geometry.axes) > 1 for side in (query, key))
    return grids and any(pattern.is_windows for pattern in patterns(mask))


def _by_table(mask: Mask, query: Side, key: Side, tile: tuple[int, int]) -> int:
    import numpy as np

    from mmspec.verify.seen import seen

    rows, columns = query.stop - query.start, key.stop
    if not rows or not columns:
        return 0
    starts = (np.arange(0, size, side) for size, side in zip((rows, columns), tile, strict=True))
    found = seen(mask, query, key)
    for axis, places in enumerate(starts):
        found = np.logical_or.reduceat(found, places, axis=axis)
    return int(np.count_nonzero(found))


def _by_loops(mask: Mask, query: Side, key: Side, tile: tuple[int, int]) -> int | None:
    """By the loops that the relation leaves, if those are exact and even enough."""
    from mmspec.compiler.relations.limit import TooHardError, limited
    from mmspec.compiler.relations.loops.planned import granted
    from mmspec.compiler.relations.loops.schedule import schedule
    from mmspec.compiler.relations.loops.tiles import sides
    from mmspec.compiler.relations.loops.totals import TooManyRunsError, visited
    from mmspec.compiler.relations.meaning.relation import relation

    lines = _as_line(query), _as_line(key)
    try:
        with limited(_OPERATIONS):
            found = relation(mask, *lines)
            if any(len(line.axes) > 1 for line in lines):
                found = found.flat()
        sizes = sides(found.query, tile[0]), sides(found.key, tile[1])
        with limited(granted(_OPERATIONS, found, sizes)):
            loops = schedule(found, *tile)
        return visited(loops, query.lengths | key.lengths)[0] if loops.exact else None
    except (TooHardError, TooManyRunsError):
        return None


def _by_draws(mask: Mask, query: Side, key: Side, tile: tuple[int, int]) -> int | None:
    """By the tiles of the mask where nothing is drawn, and what the drawn blocks change."""
    from mmspec.verify.chance import changed, undrawn
    from mmspec.verify.uncounted import NotCountedError

    if tile != TILE:
        return None
    rest = touched_tiles(undrawn(mask), query, key, tile)
    try:
        return None if rest is None else rest + changed(mask, query, key)[1]
    except NotCountedError:
        return None


def _as_line(place: Side) -> Geometry:
    """Its geometry, of known size where it has rows: they then stand in one order."""
    geometry = place.geometry
    if len(geometry.axes) == 1:
        return geometry
    sizes = zip(geometry.axes, geometry.sizes(place.lengths), strict=True)
    return replace(geometry, axes=tuple(Axis(axis.name, size) for axis, size in sizes))
