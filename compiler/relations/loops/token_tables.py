"""Masks that are no formula: random blocks and packed documents, as tables of tokens' intervals.

table(mask, query, key, lengths) -> Table. What a table says is tested, not proved. It is made for
given lengths in time that grows with the blocks and documents, never with pairs of tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Final, Protocol

from mmspec.compiler.relations.intervals import Intervals, common, joined, without
from mmspec.compiler.relations.loops.schedule import Schedule, schedule
from mmspec.compiler.relations.meaning.definitions import MeaninglessError, is_closed
from mmspec.compiler.relations.meaning.geometry import Geometry, Lengths
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import Mask, Pattern, fold

__all__ = ["BLOCK", "Documents", "Table", "chosen_blocks", "table"]

BLOCK: Final = 64
"""Tokens in a block of the random pattern, whatever the tiles of a kernel."""

_WORD: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Documents:
    """Packed documents: the tokens of each in queries and in keys, (start, stop), by id."""

    queries: Mapping[int, tuple[int, int]]
    keys: Mapping[int, tuple[int, int]]

    @staticmethod
    def of_lengths(queries: Sequence[int], keys: Sequence[int] | None = None) -> Documents:
        """Documents one after another, by their tokens."""
        sides = [_bounds(lengths) for lengths in (queries, queries if keys is None else keys)]
        return Documents(*(dict(enumerate(side)) for side in sides))

    @staticmethod
    def of_ids(queries: Sequence[int], keys: Sequence[int] | None = None) -> Documents:
        """Documents by the id of each token; the tokens of one stand together."""
        sides = [_runs(ids) for ids in (queries, queries if keys is None else keys)]
        return Documents(*sides)

    def inverse(self) -> Documents:
        """Queries and keys exchanged."""
        return Documents(self.keys, self.queries)


def _bounds(lengths: Sequence[int]) -> list[tuple[int, int]]:
    stops = list(accumulate(lengths))
    return list(zip([0, *stops], stops, strict=False))


def _runs(ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    at = 0
    for name, tokens in groupby(ids):
        stop = at + sum(1 for _ in tokens)
        if name in found:
            raise ValueError(f"the tokens of document {name} do not stand together")
        found[name] = at, stop
        at = stop
    return found


class _Leaf(Protocol):
    """One part of a mask."""

    def runs(self, index: int, tiles: tuple[int, int]) -> tuple[Intervals, Intervals]:
        """Tiles of keys touched by a tile of queries, and tiles it sees all of."""
        ...

    def inverse(self) -> _Leaf:
        """Queries and keys exchanged."""
        ...


@dataclass(frozen=True)
class _Closed:
    """A part that is a formula; any tiles."""

    mask: Mask
    segments: tuple[Geometry, Geometry]
    lengths: Lengths
    turned: bool = False

    def runs(self, index: int, tiles: tuple[int, int]) -> tuple[Intervals, Intervals]:
        """As of every part."""
        found = _schedule(self.mask, self.segments, tiles, self.turned).runs(index, self.lengths)
        touched = joined((start, stop) for start, stop, _ in found)
        return touched, joined((start, stop) for start, stop, inside in found if inside)

    def inverse(self) -> _Leaf:
        """As of every part."""
        return _Closed(self.mask, self.segments, self.lengths, not self.turned)


@lru_cache(maxsize=256)
def _schedule(
    mask: Mask, segments: tuple[Geometry, Geometry], tiles: tuple[int, int], turned: bool
) -> Schedule:
    found = relation(mask, *segments)
    if any(len(side.axes) > 1 for side in segments):
        found = found.flat()
    return schedule(found.inverse() if turned else found, *tiles)


@dataclass(frozen=True)
class _Groups:
    """Runs of queries, each of which sees some intervals of keys."""

    starts: tuple[int, ...]
    seen: tuple[Intervals, ...]
    queries: int
    back: tuple[tuple[int, ...], tuple[Intervals, ...], int]

    def runs(self, index: int, tiles: tuple[int, int]) -> tuple[Intervals, Intervals]:
        """As of every part."""
        tall, wide = tiles
        first, last = index * tall, min((index + 1) * tall, self.queries) - 1
        groups = range(bisect_right(self.starts, first) - 1, bisect_right(self.starts, last))
        parts = [self.seen[at] for at in groups]
        some = joined(part for seen in parts for part in seen)
        every = parts[0]
        for seen in parts[1:]:
            every = common(every, seen)
        touched = joined((start // wide, -(-stop // wide)) for start, stop in some)
        return touched, joined((-(-start // wide), stop // wide) for start, stop in every)

    def inverse(self) -> _Leaf:
        """As of every part."""
        return _Groups(*self.back, (self.starts, self.seen, self.queries))


_Leaves = Mapping[Mask, _Leaf]
"""Of the largest parts that are formulas, and of the patterns that are tables."""


@dataclass(frozen=True)
class Table:
    """A mask at given lengths, by tiles."""

    mask: Mask
    tokens: tuple[int, int]
    leaves: _Leaves = field(repr=False)

    def inverse(self) -> Table:
        """Keys and the queries that see them."""
        leaves = {mask: leaf.inverse() for mask, leaf in self.leaves.items()}
        return Table(self.mask, (self.tokens[1], self.tokens[0]), leaves)

    def row(self, query: int) -> Intervals:
        """The keys that a query sees."""
        return self._tiles(self.mask, query, (1, 1))[1]

    def contains(self, query: int, key: int) -> bool:
        """Whether a query sees a key."""
        if not 0 <= query < self.tokens[0]:
            return False
        return any(start <= key < stop for start, stop in self.row(query))

    def count(self) -> int:
        """Visible pairs."""
        return sum(b - a for query in range(self.tokens[0]) for a, b in self.row(query))

    def runs(self, index: int, query_tile: int, key_tile: int) -> list[tuple[int, int, bool]]:
        """Runs of tiles of keys for a tile of queries: (start, stop, whole).

        Every tile that is touched is there, and every pair of a whole one is visible. Where
        patterns are combined, a tile may be there that no pattern but all together leave empty.
        """
        touched, inside = self._tiles(self.mask, index, (query_tile, key_tile))
        border = without(touched, inside)
        return sorted([(*part, True) for part in inside] + [(*part, False) for part in border])

    def _tiles(self, mask: Mask, index: int, tiles: tuple[int, int]) -> tuple[Intervals, Intervals]:
        """What is touched at most, and what is whole at least."""
        keys, wide = self.tokens[1], tiles[1]

        def leaf(part: Mask) -> _Reach | None:
            found = self.leaves.get(part)
            return None if found is None else found.runs(index, tiles)

        def hidden(operand: _Reach) -> _Reach:
            every, complete = joined([(0, -(-keys // wide))]), joined([(0, keys // wide)])
            return without(every, operand[1]), without(complete, operand[0])

        def both(one: _Reach, other: _Reach) -> _Reach:
            return common(one[0], other[0]), common(one[1], other[1])

        def either(one: _Reach, other: _Reach) -> _Reach:
            return joined((*one[0], *other[0])), joined((*one[1], *other[1]))

        return fold(mask, _unknown, hidden, both, either, whole=leaf)


_Reach = tuple[Intervals, Intervals]


def _unknown(pattern: Pattern) -> _Reach:
    raise AssertionError(pattern)


def table(
    mask: Mask,
    query: Geometry,
    key: Geometry,
    lengths: Lengths,
    documents: Documents | None = None,
    most: int | None = None,
) -> Table:
    """A mask at given lengths. Raises MeaninglessError.

    most: tokens that the segment of the keys can hold, of whose blocks `random` draws; None: it is
    as long as can be.
    """
    tokens = query.tokens(lengths), key.tokens(lengths)

    def tabled(part: Pattern) -> _Leaves:
        return {part: _tabled(part, tokens, documents, tokens[1] if most is None else most)}

    def formula(part: Mask) -> _Leaves | None:
        return {part: _Closed(part, (query, key), lengths)} if is_closed(part) else None

    leaves = fold(mask, tabled, lambda operand: operand, _all, _all, whole=formula)
    return Table(mask, tokens, leaves)


def _all(one: _Leaves, other: _Leaves) -> _Leaves:
    return {**one, **other}


def _tabled(
    pattern: Pattern, tokens: tuple[int, int], documents: Documents | None, most: int
) -> _Leaf:
    if pattern.facts.is_packed:
        if documents is None:
            raise MeaninglessError("document needs the documents that are packed")
        return _grouped(tokens, _sharing(documents), _sharing(documents.inverse()))
    assert pattern.facts.is_drawn, pattern
    there = list(_random(pattern, *tokens, most))
    return _grouped(tokens, there, _turned(there, *tokens))


Groups = Iterable[tuple[int, Intervals]]
"""Runs of queries by their first, and the keys that each of them sees."""


def _grouped(tokens: tuple[int, int], there: Groups, back: Groups) -> _Leaf:
    starts, seen = zip(*there, strict=True) if tokens[0] else ((), ())
    back_starts, back_seen = zip(*back, strict=True) if tokens[1] else ((), ())
    return _Groups(starts, seen, tokens[0], (back_starts, back_seen, tokens[1]))


def _sharing(documents: Documents) -> Iterator[tuple[int, Intervals]]:
    """Queries see the keys of their document; a document without tokens is passed over."""
    for name, (start, stop) in documents.queries.items():
        if start < stop:
            yield start, joined([documents.keys.get(name, (0, 0))])


def _random(
    pattern: Pattern, queries: int, keys: int, most: int
) -> Iterator[tuple[int, Intervals]]:
    blocks = -(-most // BLOCK)
    for place in range(-(-queries // BLOCK)):
        seen = chosen_blocks(pattern.size("blocks"), pattern.size("seed"), place, blocks)
        yield place * BLOCK, joined((b * BLOCK, min((b + 1) * BLOCK, keys)) for b in seen)


def _turned(
    there: list[tuple[int, Intervals]], queries: int, keys: int
) -> Iterator[tuple[int, Intervals]]:
    """Which blocks of queries see each block of keys."""
    seen: list[list[tuple[int, int]]] = [[] for _ in range(-(-keys // BLOCK))]
    for start, parts in there:
        for first, last in parts:
            for block in range(first // BLOCK, -(-last // BLOCK)):
                seen[block].append((start, min(start + BLOCK, queries)))
    yield from ((block * BLOCK, joined(parts)) for block, parts in enumerate(seen))


def chosen_blocks(count: int, seed: int, place: int, blocks: int) -> frozenset[int]:
    """The blocks of keys that a block of queries sees: `count` different ones, by Floyd's way."""
    if count >= blocks:
        return frozenset(range(blocks))
    found: set[int] = set()
    for draw, most in enumerate(range(blocks - count, blocks)):
        pick = _mixed(_mixed(_mixed(seed) ^ place) ^ draw) % (most + 1)
        found.add(most if pick in found else pick)
    return frozenset(found)


def _mixed(number: int) -> int:
    """A number of 64 bits that looks random: the output step of SplitMix64."""
    number = (number + 0x9E3779B97F4A7C15) & _WORD
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _WORD
    return number ^ (number >> 31)
