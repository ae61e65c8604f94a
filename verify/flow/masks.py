"""What a mask can connect, decided by its relation for every length at once."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mmspec.compiler.relations.meaning.apart import looks_back
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import NONE, Mask

if TYPE_CHECKING:
    from mmspec.compiler.relations.meaning.relation import Relation as Pairs

_OPERATIONS: Final = 200_000


class Relation(IntEnum):
    """What the tokens of a segment may depend on, each including those before it."""

    NONE = 0
    PAST = 1
    """Tokens of the same segment, none of them later."""
    ANY = 2


@lru_cache(maxsize=1024)
def pairs(mask: Mask, query: Geometry, key: Geometry) -> Pairs:
    """The relation of all that a mask may show. Raises TooHardError under a limit."""
    from mmspec.compiler.relations.meaning.relation import relation as related

    return related(widest(mask), query, key)


@lru_cache(maxsize=1024)
def relation(mask: Mask, query: Geometry, key: Geometry) -> Relation:
    """What a mask connects at any length; PAST only where both have the same order.

    Exact for formulas, but where isl would need more than `_OPERATIONS`: there it is a bound, read
    off the mask's patterns.
    """
    from mmspec.compiler.relations.limit import TooHardError, limited

    try:
        with limited(_OPERATIONS):
            found = pairs(mask, query, key)
            if found.is_empty():
                return Relation.NONE
            past = query == key and found.is_causal()
            return Relation.PAST if past else Relation.ANY
    except TooHardError:
        bound = bound_of(widest(mask))
        return bound if query == key or bound is Relation.NONE else Relation.ANY


def bound_of(mask: Mask) -> Relation:
    """What a simplified mask within a segment connects at most, as its patterns tell."""
    if mask == NONE:
        return Relation.NONE
    return Relation.PAST if looks_back(mask) else Relation.ANY
