"""The masks of a whole sequence: one for each ordered pair of segments, each its own relation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from mmspec.compiler.relations.meaning.geometry import Geometry, Lengths
from mmspec.expressions.mask import NONE, Mask

if TYPE_CHECKING:
    from mmspec.compiler.relations.meaning.relation import Relation

__all__ = ["SequenceMask", "Side"]


@dataclass(frozen=True, slots=True)
class Side:
    """A segment, by name: a run of tokens of the queries or of the keys.

    count: the variable of its number of tokens, where that is what generated code is given: all
    that its geometry says, or 0 where it is absent. most: tokens that it can hold; None: as many
    as there are.
    """

    name: str
    geometry: Geometry
    count: str | None = None
    most: int | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """What generated code is given for it."""
        return self.geometry.symbols if self.count is None else (self.count,)

    def derived(self) -> Iterator[str]:
        """Statements that make the lengths of its geometry of what is given."""
        for symbol in self.geometry.symbols:
            if self.count not in (None, symbol):
                rest = prod(a.size for a in self.geometry.axes if isinstance(a.size, int))
                yield f"{symbol} = {self.count}" + (f" // {rest}" if rest != 1 else "")


@dataclass(frozen=True, slots=True)
class SequenceMask:
    """Who sees whom in sequences of several segments; a pair that is not listed sees nothing.

    packed: segments of which generated code is given the documents.
    """

    queries: tuple[Side, ...]
    keys: tuple[Side, ...]
    pairs: tuple[tuple[str, str, Mask], ...]
    packed: frozenset[str] = frozenset()

    @property
    def sides(self) -> tuple[Side, ...]:
        """Every segment once, queries first: the order of lengths at run time."""
        return tuple(dict.fromkeys((*self.queries, *self.keys)))

    @property
    def parameters(self) -> tuple[str, ...]:
        """What generated code is given, in order."""
        return tuple(dict.fromkeys(name for side in self.sides for name in side.parameters))

    @property
    def is_square(self) -> bool:
        """Whether queries and keys are the same sequence."""
        return self.queries == self.keys

    def mask(self, query: str, key: str) -> Mask:
        """Of a pair of segments."""
        return next((mask for a, b, mask in self.pairs if (a, b) == (query, key)), NONE)

    def relation(self, query: Side, key: Side) -> Relation:
        """Of a pair of segments whose mask is no table."""
        from mmspec.compiler.relations.meaning.relation import relation

        return relation(self.mask(query.name, key.name), query.geometry, key.geometry)

    def tokens(self, lengths: Lengths) -> tuple[int, int]:
        """Queries and keys."""
        return (
            sum(side.geometry.tokens(lengths) for side in self.queries),
            sum(side.geometry.tokens(lengths) for side in self.keys),
        )
