"""What rows read of a modality on the way back, and what tokens hold of it on the way forth.

As bounds, which the numbers of patterns give, or as sets of integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Protocol, TypeVar

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.apart import ANYWHERE, HERE, Apart, apart
from mmspec.expressions.mask import Mask

if TYPE_CHECKING:
    from mmspec.compiler.relations.isl import isl

R = TypeVar("R")


class Algebra(Protocol[R]):
    """What rows read of a segment, and how that grows on the way back."""

    def own(self) -> R:
        """Each row reads its own token."""
        ...

    def all(self, reads: R, segment: ir.Segment) -> R:
        """Rows that read anything read all tokens of a segment."""
        ...

    def through(self, reads: R, query: ir.Segment, key: ir.Segment, mask: Mask) -> R | None:
        """What is read of keys by rows that read queries; None: nothing at any length."""
        ...

    def join(self, one: R, other: R) -> R:
        """Both."""
        ...

    def same(self, one: R, other: R) -> bool:
        """Whether they are equal."""
        ...

    def tells_all(self, reads: R) -> bool:
        """Whether every token is read by the row before it."""
        ...


class Bounds:
    """How far past itself a row may read, by numbers of the masks: a bound that costs nothing."""

    def own(self) -> Apart:
        """Each row reads its own token."""
        return HERE

    def all(self, reads: Apart, segment: ir.Segment) -> Apart:
        """Rows that read anything read all tokens."""
        return ANYWHERE

    def through(self, reads: Apart, query: ir.Segment, key: ir.Segment, mask: Mask) -> Apart | None:
        """What is read of keys by rows that read queries."""
        found = apart(mask)
        return None if found is None else reads.then(found)

    def join(self, one: Apart, other: Apart) -> Apart:
        """Both."""
        return one.either(other)

    def same(self, one: Apart, other: Apart) -> bool:
        """Whether they are equal."""
        return one == other

    def tells_all(self, reads: Apart) -> bool:
        """A bound tells nothing for sure."""
        return False


class _Sets:
    """How sets of integers are joined and compared."""

    def join(self, one: isl.Map, other: isl.Map) -> isl.Map:
        """Both."""
        from mmspec.compiler.relations.meaning.reads import join

        return join(one, other)

    def same(self, one: isl.Map, other: isl.Map) -> bool:
        """Whether they are equal."""
        return bool(one.is_equal(other))


@dataclass(frozen=True)
class Maps(_Sets):
    """On the way back: tokens that each row reads; separate: of the tokens of one document."""

    segment: ir.Segment
    separate: bool

    def own(self) -> isl.Map:
        """Each row reads its own token."""
        from mmspec.compiler.relations.meaning.reads import document, itself

        found = itself(self.segment.geometry)
        return found.intersect_domain(document()) if self.separate else found

    def all(self, reads: isl.Map, segment: ir.Segment) -> isl.Map:
        """Rows that read anything read all tokens of a segment."""
        from mmspec.compiler.relations.meaning.reads import everything

        return everything(reads, segment.geometry)

    def through(
        self, reads: isl.Map, query: ir.Segment, key: ir.Segment, mask: Mask
    ) -> isl.Map | None:
        """What is read of keys by rows that read queries; None: nothing at any length."""
        from mmspec.compiler.relations.meaning.reads import document, through

        found = through(reads, mask, query.geometry, key.geometry)
        if self.separate and key == self.segment:
            found = found.intersect_range(document()).detect_equalities().coalesce()
        return None if found.is_empty() else found

    def tells_all(self, reads: isl.Map) -> bool:
        """Whether every token is read by the row before it."""
        from mmspec.compiler.relations.meaning.reads import tells_all

        return tells_all(reads, self.segment.tokens.max)


@dataclass(frozen=True)
class Held(_Sets):
    """On the way forth: which of the segment's own tokens, but the first, each token holds."""

    segment: ir.Segment
    separate: bool

    def own(self, segment: ir.Segment) -> isl.Map:
        """Each token holds itself."""
        from mmspec.compiler.relations.meaning.reads import itself, later

        return itself(segment.geometry).intersect_domain(later(self.separate))

    def through(
        self, held: isl.Map, query: ir.Segment, key: ir.Segment, mask: Mask
    ) -> isl.Map | None:
        """What queries hold that see keys which hold something; None: nothing at any length."""
        from mmspec.compiler.relations.meaning.reads import document, onward

        found = onward(mask, query.geometry, key.geometry, held)
        if self.separate and query == self.segment:
            found = found.intersect_domain(document()).detect_equalities().coalesce()
        return None if found.is_empty() else found

    def pooled(self, held: Iterable[isl.Map], segment: ir.Segment) -> isl.Map:
        """Every token of a segment holds all of what others hold."""
        from mmspec.compiler.relations.meaning.reads import pooled

        return reduce(self.join, (pooled(segment.geometry, reads) for reads in held))
