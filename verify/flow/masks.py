"""What a mask can connect, decided for every length at once."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from math import lcm

import numpy as np
import numpy.typing as npt

from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, patterns

Bools = npt.NDArray[np.bool_]

LARGEST = 4096
"""Tables of more rows than this are not made."""


class Relation(IntEnum):
    """What the tokens of a segment may depend on, each including those before it."""

    NONE = 0
    PAST = 1
    """Tokens of the same segment, none of them later."""
    ANY = 2


def table(mask: Mask, rows: int, columns: int) -> Bools:
    """Who sees whom: bool [rows, columns], rows are queries."""
    q, k = np.ogrid[:rows, :columns]
    return np.broadcast_to(_seen(mask, q, k), (rows, columns))


def _seen(mask: Mask, q: npt.NDArray[np.int64], k: npt.NDArray[np.int64]) -> Bools:
    if isinstance(mask, And):
        return _seen(mask.left, q, k) & _seen(mask.right, q, k)
    if isinstance(mask, Or):
        return _seen(mask.left, q, k) | _seen(mask.right, q, k)
    if isinstance(mask, Not):
        return ~_seen(mask.operand, q, k)
    return _pattern(mask, q, k)


def _pattern(pattern: Pattern, q: npt.NDArray[np.int64], k: npt.NDArray[np.int64]) -> Bools:
    size, ahead = pattern.size, k - q
    seen: Bools
    if pattern.name in ("full", "none"):
        seen = np.full(ahead.shape, pattern.name == "full")
    elif pattern.name == "causal":
        seen = ahead <= 0
    elif pattern.name == "window":
        seen = (ahead <= size("after")) & (-ahead <= size("before"))
    elif pattern.name == "dilated":
        seen = (abs(ahead) <= size("reach")) & (ahead % size("step") == 0)
    elif pattern.name == "block":
        seen = q // size("size") == k // size("size")
    else:
        assert pattern.name == "global", pattern.name
        seen = (q < size("count")) | (k < size("count"))
    return seen


@lru_cache(maxsize=1024)
def relation(mask: Mask, within: bool) -> Relation:
    """What a mask connects at any length; `within`: queries and keys are of one segment.

    Exact, but where the table that decides it would have more than LARGEST rows: there it is a
    bound, read off the mask's patterns.
    """
    size = deciding_length(mask)
    if size > LARGEST:
        bound = _bound(mask)
        return bound if within or bound is Relation.NONE else Relation.ANY
    seen = table(mask, size, size)
    if not seen.any():
        return Relation.NONE
    return Relation.PAST if within and not np.triu(seen, 1).any() else Relation.ANY


def _bound(mask: Mask) -> Relation:
    """What a mask within a segment connects at most."""
    if isinstance(mask, And):
        return min(_bound(mask.left), _bound(mask.right))
    if isinstance(mask, Or):
        return max(_bound(mask.left), _bound(mask.right))
    if isinstance(mask, Not):
        return Relation.ANY
    if mask.name == "none":
        return Relation.NONE
    behind = mask.name == "causal" or (mask.name == "window" and mask.size("after") == 0)
    return Relation.PAST if behind else Relation.ANY


def deciding_length(mask: Mask) -> int:
    """A length at which every case of the mask occurs.

    Let G be the greatest global count, P the least common multiple of the block sizes and D the
    greatest distance that a window, dilation or block spans. Past G both tokens move together by
    multiples of P and nothing changes; beyond the distance D only the order of the two counts.
    So each pair of tokens has one below G + P + D + 2 of the same order that the mask treats
    alike.
    """
    found = patterns(mask)
    blocks = [p.size("size") for p in found if p.name == "block"]
    counts = [p.size("count") for p in found if p.name == "global"]
    reaches = [p.size("reach") for p in found if p.name == "dilated"]
    for pattern in found:
        if pattern.name == "window":
            reaches += [pattern.size("before"), pattern.size("after")]
    return max(counts, default=0) + lcm(*blocks) + max([*reaches, *blocks], default=0) + 2
