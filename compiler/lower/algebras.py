"""What rows read of a modality on the way back, and what tokens hold of it on the way forth.

As two classes, which names of patterns decide, or as sets of integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import looks_back
from mmspec.expressions.mask import Mask

if TYPE_CHECKING:
    from mmspec.compiler.relations.isl import isl

R = TypeVar("R")
PAST: Final = 1
_ANY: Final = 2


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


@dataclass(frozen=True, slots=True)
class Classes:
    """Only the past of the segment itself, or anything: decided without a look at numbers."""

    segment: ir.Segment

    def own(self) -> int:
        """Each row reads its own token."""
        return PAST

    def all(self, reads: int, segment: ir.Segment) -> int:
        """Rows that read anything read all tokens."""
        return _ANY

    def through(self, reads: int, query: ir.Segment, key: ir.Segment, mask: Mask) -> int:
        """What is read of keys by rows that read queries."""
        past = reads == PAST and query == key and looks_back(mask)
        return PAST if past else _ANY

    def join(self, one: int, other: int) -> int:
        """Both."""
        return max(one, other)

    def same(self, one: int, other: int) -> bool:
        """Whether they are equal."""
        return one == other

    def tells_all(self, reads: int) -> bool:
        """Nobody knows."""
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
