"""Influence by classes: what holds at every length."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler import ir
from mmspec.expressions.mask import Mask
from mmspec.verify.flow.masks import Relation, relation
from mmspec.verify.flow.walk import Origin


@dataclass(frozen=True, slots=True)
class Classes:
    """Relations are classes. A segment of the origin's modality shares the origin's order."""

    origin: Origin

    def _ordered(self, segment: ir.Segment) -> bool:
        return self.origin == Origin("modality", segment.modality or "")

    def nothing(self, segment: ir.Segment) -> Relation:
        """No influence."""
        return Relation.NONE

    def own(self, segment: ir.Segment) -> Relation:
        """Each token depends on itself, where there is an order to speak of."""
        return Relation.PAST if self._ordered(segment) else Relation.ANY

    def see(self, query: ir.Segment, key: ir.Segment, mask: Mask, reach: Relation) -> Relation:
        """A causal mask keeps the class; another one mixes all tokens."""
        if reach is Relation.NONE:
            return reach
        seen = relation(mask, query.geometry, key.geometry)
        if seen is Relation.NONE:
            return seen
        return reach if seen is Relation.PAST else Relation.ANY

    def join(self, one: Relation, other: Relation) -> Relation:
        """The larger."""
        return max(one, other)

    def same(self, one: Relation, other: Relation) -> bool:
        """Whether they are one class."""
        return one is other

    def has_tokens(self, value: ir.Value) -> bool:
        """At some length it does."""
        return True

    def weight(self, segment: ir.Segment, relation: Relation) -> int:
        """ANY is what is asked about."""
        return int(relation)
