"""Influence by matrices: which token depends on which, at given lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.expressions.mask import Mask
from mmspec.verify.flow.walk import Origin, Reach, walk
from mmspec.verify.seen import Bools, side
from mmspec.verify.seen import seen as table


@dataclass(frozen=True, slots=True)
class Matrices:
    """Relations are bool [tokens of the segment, tokens of the origin].

    Of a stream as origin there is one column: any of its tokens. lengths: tokens by modality.
    """

    origin: Origin
    lengths: Mapping[str, int]

    def tokens(self, segment: ir.Segment) -> int:
        """How many there are."""
        return segment.count(self.lengths)

    @property
    def _columns(self) -> int:
        return self.lengths[self.origin.name] if self.origin.kind == "modality" else 1

    def nothing(self, segment: ir.Segment) -> Bools:
        """No influence."""
        return np.zeros((self.tokens(segment), self._columns), dtype=np.bool_)

    def own(self, segment: ir.Segment) -> Bools:
        """Each token depends on itself."""
        if self.origin.kind == "stream":
            return np.ones((self.tokens(segment), 1), dtype=np.bool_)
        return np.eye(self.tokens(segment), dtype=np.bool_)

    def see(self, query: ir.Segment, key: ir.Segment, mask: Mask, reach: Bools) -> Bools:
        """The product of two relations."""
        shown = widest(mask, lambda pattern: pattern.facts.is_packed)  # that is for the batch
        seen = table(shown, side(query, self.lengths), side(key, self.lengths))
        counts = seen.astype(np.float32) @ reach.astype(np.float32)
        return counts > 0

    def join(self, one: Bools, other: Bools) -> Bools:
        """The union."""
        return one | other

    def same(self, one: Bools, other: Bools) -> bool:
        """Whether they are equal."""
        return np.array_equal(one, other)

    def has_tokens(self, value: ir.Value) -> bool:
        """At these lengths."""
        return any(self.tokens(segment) for segment in value.segments)

    def weight(self, segment: ir.Segment, relation: Bools) -> int:
        """Later tokens of the same modality are what is asked about."""
        if segment.modality == self.origin.name and np.triu(relation, 1).any():
            return 2
        return int(relation.any())


def longest(plan: ir.Plan) -> dict[str, int]:
    """Tokens of each modality at its longest."""
    return {given.name: given.tokens.max for given in plan.inputs}


def matrices(
    plan: ir.Plan, origin: Origin, lengths: Mapping[str, int]
) -> dict[tuple[str, str], Reach[Bools]]:
    """Which token of each (value, segment) depends on which of the origin, at these lengths.

    lengths: tokens by modality, all of them named; 0: absent.
    """
    return walk(plan, origin, Matrices(origin, lengths))
