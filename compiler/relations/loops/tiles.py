"""Tiles that a tile of queries touches, and those it sees all of, as relations between indices.

Tiles are boxes of tokens: a size for each coordinate. Both relations are closed forms in the
indices and the lengths.
"""

from __future__ import annotations

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.meaning.geometry import Geometry, Lengths
from mmspec.compiler.relations.meaning.relation import Relation

__all__ = ["Tile", "about", "border", "linear_tiles", "sides", "touched", "whole"]

Tile = tuple[int, ...]
"""Tokens of a tile along each coordinate."""


def sides(geometry: Geometry, tile: int | Tile) -> Tile:
    """A tile of a segment; a single number is its side along every coordinate."""
    found = (tile,) * len(geometry.axes) if isinstance(tile, int) else tile
    assert len(found) == len(geometry.axes), (geometry, tile)
    assert all(side >= 1 for side in found), tile
    return found


def linear_tiles(geometry: Geometry, tile: int | Tile, lengths: Lengths) -> Tile:
    """How many tiles there are along each coordinate."""
    pairs = zip(geometry.sizes(lengths), sides(geometry, tile), strict=True)
    return tuple(-(-size // side) for size, side in pairs)


def touched(relation: Relation, query_tile: int | Tile, key_tile: int | Tile) -> isl.Map:
    """Which tiles of keys hold a key that some query of a tile sees: exact at every length."""
    return _tiled(relation, relation.visible, query_tile, key_tile).coalesce()


def whole(relation: Relation, query_tile: int | Tile, key_tile: int | Tile) -> isl.Map:
    """Which tiles of keys a whole tile of queries sees: none of their keys is missing or hidden.

    Exact where every query of the tile exists. Of a tile cut short, queries past the end count
    as if the segment went on, so that the answer is one piece.
    """
    hidden = _tiled(relation, relation.hidden, query_tile, key_tile)
    return _complete(relation, query_tile, key_tile).subtract(hidden).coalesce()


def border(relation: Relation, query_tile: int | Tile, key_tile: int | Tile) -> isl.Map:
    """The tiles that are touched, but not whole."""
    inside = whole(relation, query_tile, key_tile)
    return touched(relation, query_tile, key_tile).subtract(inside).coalesce()


def about(relation: Relation, query_tile: int | Tile, key_tile: int | Tile) -> isl.Map:
    """The tiles that are touched and maybe more, without gaps between them."""
    pairs = isl.Map.from_basic_map(relation.visible.remove_divs().simple_hull())
    found = _tiled(relation, pairs, query_tile, key_tile).remove_divs().simple_hull()
    everything = touched(relation.everything(), query_tile, key_tile)
    return isl.Map.from_basic_map(found).intersect(everything)


def _tiled(
    relation: Relation, pairs: isl.Map, query_tile: int | Tile, key_tile: int | Tile
) -> isl.Map:
    queries = _tile_of(relation.query, query_tile)
    keys = _tile_of(relation.key, key_tile)
    return pairs.apply_domain(queries).apply_range(keys)


def _tile_of(geometry: Geometry, tile: int | Tile) -> isl.Map:
    """The tile that a token lies in."""
    names = geometry.names("t")
    places = (f"floor({n}/{b})" for n, b in zip(names, sides(geometry, tile), strict=True))
    return isl.Map(f"{{ [{', '.join(names)}] -> [{', '.join(places)}] }}")


def _complete(relation: Relation, query_tile: int | Tile, key_tile: int | Tile) -> isl.Map:
    """Pairs of a tile that has a query and a tile that has all its keys."""
    symbols = f"[{', '.join(relation.symbols)}]"
    i, has = _tile_names(relation.query, "i", query_tile, 0)
    j, full = _tile_names(relation.key, "j", key_tile, 1)
    return isl.Map(f"{symbols} -> {{ [{i}] -> [{j}] : {has} and {full} }}")


def _tile_names(
    geometry: Geometry, letter: str, tile: int | Tile, complete: int
) -> tuple[str, str]:
    """Indices of its tiles, and the condition that they have a first or (complete) a last token."""
    names = geometry.names(letter)
    parts = (
        f"0 <= {name} and {side} * {name} + {complete * (side - 1)} < {axis.size}"
        for name, side, axis in zip(names, sides(geometry, tile), geometry.axes, strict=True)
    )
    return ", ".join(names), " and ".join(parts)
