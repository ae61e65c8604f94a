"""What the kernels of one attention are made from: its mask, its widths and the sizes of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mmspec.compiler.kernels import places
from mmspec.compiler.kernels.places import BoxPlace, ClassPlace, LinePlace, Place
from mmspec.compiler.relations.loops.schedule import Schedule, schedule_of
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.formula import ALWAYS, Formula, as_statements
from mmspec.compiler.relations.meaning.geometry import Geometry, line
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.relations.meaning.terms import terms
from mmspec.expressions.mask import FULL, NONE
from mmspec.expressions.mask import Mask as Expression

__all__ = ["Mask", "Tiles", "padded", "seen_lines", "tiles_of"]

_WIDEST: Final = 2**31
_ROOM: Final = 56
"""Characters of one condition."""

Tiles = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Mask:
    """Who sees whom in one attention, and how wide its heads are.

    sides of `sequence` know their `count`. longest: most tokens of queries or of keys.
    """

    name: str
    sequence: SequenceMask
    longest: int
    width: int
    value_width: int
    heads: int
    tiles: Tiles = ((64, 64), (64, 32), (64, 32))
    """Of the forward and of both backwards: a program's tokens, and those it takes at a time."""
    wide: bool = False
    """Whether a kernel counts tokens and times in 64 bits."""
    lines: frozenset[str] = frozenset()
    """Segments whose tokens have relative scores to one another."""

    @property
    def lengths(self) -> tuple[str, ...]:
        """Parameters of the kernels: tokens of every segment once, queries first."""
        return self.sequence.parameters

    @property
    def warps(self) -> tuple[int, int, int]:
        """Of the forward and of both backwards; chosen where no register is spilled."""
        if padded(max(self.width, self.value_width)) <= 64:
            return 4, 4, 4
        return 8, 8, 8

    @property
    def far(self) -> bool:
        """Whether the offset of a token may pass 32 bits at the longest lengths."""
        return self.longest * self.heads * max(self.width, self.value_width) * 3 >= _WIDEST

    @property
    def has_tables(self) -> bool:
        """Whether a part of it is no formula."""
        return not all(is_closed(mask) for *_, mask in self.sequence.pairs)

    def positions(self, side: tuple[Side, ...]) -> tuple[int, ...]:
        """Where the lengths of queries or of keys are among all."""
        return tuple(self.lengths.index(str(one.count)) for one in side)

    def seen_by(self, query: Side) -> Iterator[tuple[Side, Expression]]:
        """What a segment of queries sees."""
        for key in self.sequence.keys:
            mask = self.sequence.mask(query.name, key.name)
            if mask != NONE:
                yield key, mask

    def seeing(self, key: Side) -> Iterator[tuple[Side, Expression]]:
        """The segments of queries that see a segment of keys."""
        for query in self.sequence.queries:
            mask = self.sequence.mask(query.name, key.name)
            if mask != NONE:
                yield query, mask

    def place(self, side: Side, tile: int) -> Place:
        """How tiles of so many tokens hold a segment."""
        return places.place(self.sequence, side, tile)

    def met(self, own: Side, other: Side, tile: int) -> Place:
        """How a tile of one segment meets the tiles of another: classes are met at home only."""
        found = self.place(other, tile)
        if isinstance(found, ClassPlace) and own != other:
            return LinePlace(other, tile)
        return found

    def named(self, place: Place, letter: str, axis: str, formula: str) -> list[str]:
        """Statements that name a tile's tokens, and what a formula says of them."""
        lines = [*place.tokens(letter, axis, formula)]
        if not self.wide:
            return lines
        names = (letter, *place.geometry.names(letter))
        parts = (line.partition(" = ") for line in lines)
        return [
            f"{name} = tl.cast({text}, tl.int64)" if name in names else f"{name} = {text}"
            for name, _, text in parts
        ]


def tiles_of(width: int, sequence: SequenceMask) -> Tiles:
    """Sizes at which registers suffice: smaller for wide heads, many loops, and other orders.

    Where blocks are drawn they divide 64.
    """
    if padded(width) > 64:
        several = len(sequence.pairs) > 2
        return ((32, 32), (32, 32), (32, 32)) if several else ((64, 64), (64, 32), (32, 32))
    held = [places.place(sequence, side, 64) for side in sequence.sides]
    if any(isinstance(place, BoxPlace) and len(place.sides) == 2 for place in held):
        return (64, 32), (64, 32), (32, 32)
    if not all(isinstance(place, LinePlace) for place in held):
        return (64, 64), (64, 32), (32, 32)
    return (64, 64), (64, 32), (64, 16) if _terms(sequence) < 2 else (32, 32)


def _terms(sequence: SequenceMask) -> int:
    """Terms of the masks that have tables: each has loops of its own."""
    sides = {side.name: side for side in sequence.keys}
    tabled = ((mask, sides[key]) for _, key, mask in sequence.pairs if not is_closed(mask))
    return sum(len(terms(mask, key)) for mask, key in tabled)


def padded(width: int) -> int:
    """The power of two, at least 16, that holds a width."""
    return max(16, 1 << (width - 1).bit_length())


def loops(mask: Expression, query: Place, key: Place, turned: bool = False) -> Schedule:
    """The loops over tiles of keys that a tile of queries sees, as they are placed.

    turned: those over tiles of queries that see a tile of keys.
    """
    tiles = _tile(query), _tile(key)
    if isinstance(query, ClassPlace) and isinstance(key, ClassPlace):
        return schedule_of(query.inner, line("m"), line("m"), tiles, turned)
    ends = [_all_of(place) if mask == FULL else place.geometry for place in (query, key)]
    return schedule_of(mask, ends[0], ends[1], tiles, turned)


def _all_of(place: Place) -> Geometry:
    """What says no more of the tokens of a line than how many they are."""
    return line(str(place.side.count)) if isinstance(place, LinePlace) else place.geometry


def _tile(place: Place) -> int | tuple[int, ...]:
    return place.sides if isinstance(place, BoxPlace) else place.sides[0]


def seen_lines(condition: Formula, ends: list[str]) -> list[str]:
    """Statements that say what is seen: what a condition shows, of the tokens there are."""
    if condition == ALWAYS:
        return [f"seen = {' & '.join(ends)}"]
    lines = as_statements(condition, "seen", _ROOM)
    whole = " & ".join([f"({lines[0].removeprefix('seen = ')})", *ends])
    if len(lines) == 1 and len(whole) <= _ROOM:
        return [f"seen = {whole}"]
    return [*lines, f"seen = seen & {' & '.join(ends)}"]
