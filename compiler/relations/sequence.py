"""The masks of a whole sequence: one for each ordered pair of segments, each its own relation."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.relations.geometry import Geometry, Lengths
from mmspec.compiler.relations.relation import Relation, relation
from mmspec.expressions.mask import Mask, Pattern

__all__ = ["SequenceMask", "Side"]

_NONE = Pattern("none")


@dataclass(frozen=True, slots=True)
class Side:
    """A segment, by name: a run of tokens of the queries or of the keys."""

    name: str
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class SequenceMask:
    """Who sees whom in sequences of several segments; a pair that is not listed sees nothing."""

    queries: tuple[Side, ...]
    keys: tuple[Side, ...]
    pairs: tuple[tuple[str, str, Mask], ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """Every segment once, queries first: the order of lengths at run time."""
        return tuple(dict.fromkeys((*self.queries, *self.keys)))

    @property
    def is_square(self) -> bool:
        """Whether queries and keys are the same sequence."""
        return self.queries == self.keys

    def mask(self, query: str, key: str) -> Mask:
        """Of a pair of segments."""
        return next((mask for a, b, mask in self.pairs if (a, b) == (query, key)), _NONE)

    def relation(self, query: Side, key: Side) -> Relation:
        """Of a pair of segments whose mask is no table."""
        return relation(self.mask(query.name, key.name), query.geometry, key.geometry)

    def tokens(self, lengths: Lengths) -> tuple[int, int]:
        """Queries and keys."""
        return (
            sum(side.geometry.tokens(lengths) for side in self.queries),
            sum(side.geometry.tokens(lengths) for side in self.keys),
        )
