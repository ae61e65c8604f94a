"""Tiles of a mask: how many hold a visible pair and how many no hidden one; counted pair by pair.

And as relations of isl, for those who count by other ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd, lcm
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.meaning.geometry import Axis, Geometry
from mmspec.compiler.relations.meaning.relation import Relation
from mmspec.expressions.mask import Mask
from mmspec.verify.seen import Ints, Side, seen, seen_at
from mmspec.verify.tune.near import near
from mmspec.verify.tune.order import Tiling

__all__ = ["Tiles", "Tilings", "by_pairs", "known", "met_by_pairs", "related"]

Sums = npt.NDArray[np.int32]

_CHUNK: Final = 2**22
"""Pairs that are held at a time."""

_PART: Final = 2**14
"""Pairs of a part whose sums are kept for tiles of other sizes."""

_EVERY: Final = ((0, 2**62),)
"""All keys there are."""

_BASE: Final = 16
"""Tokens of the smallest tiles that are looked at."""

Tilings = tuple[Tiling, Tiling]
"""Of queries and keys."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles with a visible pair, and those of them without a hidden one.

    A tile that a segment's end cuts short is judged by the tokens it has.
    """

    touched: int
    inside: int

    @property
    def exact(self) -> bool:
        """Whether no tile is partly visible."""
        return self.touched == self.inside

    def __add__(self, other: Tiles) -> Tiles:
        """Of both."""
        return Tiles(self.touched + other.touched, self.inside + other.inside)

    def __sub__(self, other: Tiles) -> Tiles:
        """What one has more than the other."""
        return Tiles(self.touched - other.touched, self.inside - other.inside)


def known(place: Side) -> Geometry:
    """Its geometry at the length that it has."""
    geometry = place.geometry
    sizes = zip(geometry.axes, geometry.sizes(place.lengths), strict=True)
    return replace(geometry, axes=tuple(Axis(axis.name, size) for axis, size in sizes))


def by_pairs(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles:
    """The tiles of a mask between parts of segments that begin and end where tiles do."""
    if {tiling.kind for tiling in tilings} == {"rows"}:
        return _as_they_come(mask, query, key, tilings)
    rows, columns = (t.numbers(place) for t, place in zip(tilings, (query, key), strict=True))
    order = np.argsort(columns, kind="stable")
    starts, wide = _runs(columns[order])
    _, number, tall = np.unique(rows, return_inverse=True, return_counts=True)
    shown = np.zeros((len(tall), len(wide)), dtype=np.int64)
    step = max(_CHUNK // len(columns), 1)
    for first in range(query.start, query.stop, step):
        part = query.part(first, first + step)
        table = seen(mask, part, key)[:, order]
        sums = np.add.reduceat(table, starts, axis=1, dtype=np.int32)
        np.add.at(shown, number[part.start - query.start : part.stop - query.start], sums)
    return _judged(shown, tall, wide)


def _as_they_come(mask: Mask, query: Side, key: Side, tilings: Tilings) -> Tiles:
    """Tiles of tokens in their order, from smaller ones that other tiles are made of too."""
    sides = tilings[0].tokens, tilings[1].tokens
    base = gcd(_BASE, *sides)
    fine = _fine(mask, query, key, base)
    bounds = [
        np.arange(0, -(-(place.stop - place.start) // base), side // base)
        for place, side in zip((query, key), sides, strict=True)
    ]
    shown = np.add.reduceat(np.add.reduceat(fine, bounds[0], axis=0), bounds[1], axis=1)
    return _judged(shown, *(_sizes(x, side) for x, side in zip((query, key), sides, strict=True)))


def _sizes(place: Side, side: int) -> npt.NDArray[np.intp]:
    """The tokens of each of its tiles."""
    return np.diff(np.append(np.arange(place.start, place.stop, side), place.stop))


def _fine(mask: Mask, query: Side, key: Side, base: int) -> Sums:
    """Visible pairs in each tile of so many queries and keys: of the last large, and small ones."""
    pairs = (query.stop - query.start) * (key.stop - key.start)
    return (_of_part if pairs <= _PART else _of_all)(mask, query, key, base)


@lru_cache(maxsize=2**14)
def _of_part(mask: Mask, query: Side, key: Side, base: int) -> Sums:
    return _summed(mask, query, key, base)


@lru_cache(maxsize=4)
def _of_all(mask: Mask, query: Side, key: Side, base: int) -> Sums:
    return _summed(mask, query, key, base)


def _summed(mask: Mask, query: Side, key: Side, base: int) -> Sums:
    rows, columns = (-(-(place.stop - place.start) // base) for place in (query, key))
    shown = np.zeros((rows, columns), dtype=np.int32)
    local = near(mask, known(query)) if query.geometry == key.geometry else None
    step = base * max(_CHUNK // (base * (key.stop - key.start)), 1)
    for first in range(query.start, query.stop, step):
        part = query.part(first, first + step)
        spans = local.of(part.start, part.stop, key.stop, base) if local else ((0, key.stop),)
        for start, stop in spans:
            keys = key.part(start, stop)
            if keys.start >= keys.stop:
                continue
            table = seen(mask, part, keys)
            places = (np.arange(0, size, base) for size in table.shape)
            below, across = places
            sums = np.add.reduceat(table, across, axis=1, dtype=np.int32)
            row, column = ((a.start - b.start) // base for a, b in ((part, query), (keys, key)))
            found = np.add.reduceat(sums, below, axis=0)
            shown[row : row + len(below), column : column + len(across)] = found
    return shown


def met_by_pairs(mask: Mask, query: Side, key: Side, groups: tuple[Tiling, ...]) -> tuple[int, ...]:
    """How many keys groups of queries see, for each way to cut the queries."""
    if {group.kind for group in groups} == {"rows"}:
        return _met_as_they_come(mask, query, key, [group.tokens for group in groups])
    return tuple(_met(mask, query, key, group.numbers(query)) for group in groups)


def _met_as_they_come(mask: Mask, query: Side, key: Side, groups: Sequence[int]) -> tuple[int, ...]:
    """Of tokens in their order."""
    local = near(mask, known(query)) if query.geometry == key.geometry else None
    whole = lcm(*groups)
    found = [0] * len(groups)
    for first in range(query.start, query.stop, whole):
        part = query.part(first, first + whole)
        for start, stop in local.of(part.start, part.stop, key.stop, 1) if local else _EVERY:
            keys = key.part(start, stop)
            if keys.start < keys.stop:
                table = seen(mask, part, keys)
                for place, size in enumerate(groups):
                    rows = np.arange(0, len(table), size)
                    found[place] += int(np.count_nonzero(np.logical_or.reduceat(table, rows)))
    return tuple(found)


def _met(mask: Mask, query: Side, key: Side, numbers: Ints) -> int:
    """Of queries that are grouped by numbers."""
    order = np.argsort(numbers, kind="stable")
    starts, _ = _runs(numbers[order])
    ends = np.append(starts, len(order))
    found, step = 0, max(_CHUNK // max(key.stop, 1), 1)
    first = 0
    while first < len(starts):
        last = max(int(np.searchsorted(ends, ends[first] + step, "right")) - 1, first + 1)
        rows = order[ends[first] : ends[last], None]
        table = seen_at(mask, (query, key), rows, key.index[None, :])
        shown = np.broadcast_to(table, (len(rows), key.stop))
        groups = np.logical_or.reduceat(shown, starts[first:last] - ends[first])
        found, first = found + int(np.count_nonzero(groups)), last
    return found


def _judged(shown: Sums | Ints, tall: npt.NDArray[np.intp], wide: npt.NDArray[np.intp]) -> Tiles:
    """Tiles by their visible pairs and their sides."""
    inside = np.count_nonzero(shown == tall[:, None] * wide[None, :])
    return Tiles(int(np.count_nonzero(shown)), int(inside))


def _runs(numbers: Ints) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where runs of equal numbers begin, and how long they are."""
    starts = np.flatnonzero(np.concatenate(([True], np.diff(numbers) != 0)))
    return starts, np.diff(np.concatenate((starts, [len(numbers)])))


def related(shown: Relation, tilings: Tilings) -> tuple[isl.Map, isl.Map] | None:
    """Pairs of tiles with a visible pair, and those of them that hide a pair as well."""
    texts = [
        tiling.places(side) for tiling, side in zip(tilings, (shown.query, shown.key), strict=True)
    ]
    if texts[0] is None or texts[1] is None:
        return None
    queries, keys = isl.Map(texts[0]), isl.Map(texts[1])
    everything = isl.Map.from_domain_and_range(_tokens(shown.query), _tokens(shown.key))
    touched, partly = (
        pairs.apply_domain(queries).apply_range(keys).coalesce()
        for pairs in (shown.visible, everything.subtract(shown.visible))
    )
    return touched, touched.intersect(partly).coalesce()


def _tokens(geometry: Geometry) -> isl.Set:
    names = geometry.names("t")
    facts = (f"0 <= {name} < {axis.size}" for name, axis in zip(names, geometry.axes, strict=True))
    return isl.Set(f"{{ [{', '.join(names)}] : {' and '.join(facts)} }}")
