"""Visible pairs on lines of known lengths, exactly, whatever the numbers of a mask.

Where the first tokens end (`prefix`, `global`) a table of pairs is cut into rectangles, in which
those patterns are everything or nothing. What is left there are distances in the parts that blocks
share (`verify/distances.py`): for each part a closed form in its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, patterns, rewrite, unparse
from mmspec.verify.costs.cuts import Ints, TooManyCutsError, around, lengths
from mmspec.verify.distances import Blocks, Ends, Part, pairs_between, parts
from mmspec.verify.uncounted import NotCountedError

__all__ = ["count", "counted", "first_tokens", "is_counted", "settled"]

_WIDE: Final = 2**31
"""Tokens up to which twice a number of pairs fits 64 bits."""


def is_counted(mask: Mask) -> bool:
    """Whether a mask is counted here: all of it goes by the order of tokens on a line."""
    return all(pattern.facts.is_by_order for pattern in patterns(mask))


def count(mask: Mask, queries: int, keys: int) -> int:
    """Pairs of so many queries and keys, each on a line, that a mask shows.

    Raises TooManyCutsError, and OverflowError where steps divide distances in too many ways.
    """
    rows, columns = (first_tokens(mask, (queries, keys), place) for place in (0, 1))
    return sum(
        _rectangle(settled(mask, q, k), q, k) for q in pairwise(rows) for k in pairwise(columns)
    )


def counted(mask: Mask, queries: int, keys: int) -> int:
    """As `count`. Raises NotCountedError, which says it to people."""
    try:
        return count(mask, queries, keys)
    except (TooManyCutsError, OverflowError) as error:
        message = f"`{unparse(mask)}` would take too long to count: {error}"
        advice = "take fewer patterns, or numbers of which one divides another"
        raise NotCountedError(message, advice) from None


def first_tokens(mask: Mask, tokens: tuple[int, int], place: int) -> list[int]:
    """Where the first tokens of patterns end, between the ends of queries (0) or keys (1)."""
    ends = {pattern.first[place] for pattern in patterns(mask) if pattern.first is not None}
    most = tokens[place]
    return sorted({0, most, *(x for x in ends if 0 < x < most)})


def settled(mask: Mask, queries: Ends, keys: Ends) -> Mask:
    """The mask in a rectangle that first tokens are all of or none of."""

    def of_pattern(pattern: Pattern) -> Mask:
        if pattern.first is None:
            return pattern
        most = pattern.first
        return FULL if queries[0] < most[0] or keys[0] < most[1] else NONE

    return rewrite(mask, of_pattern)


def _rectangle(mask: Mask, queries: Ends, keys: Ends) -> int:
    if queries[0] >= queries[1] or keys[0] >= keys[1]:
        return 0
    shown = parts(mask, queries[0] - keys[1] + 1, queries[1] - keys[0])
    blocks = dict.fromkeys(blocks for part in shown for _, blocks in part.terms)
    return sum(_shared(each, _of(shown, each), queries, keys) for each in blocks)


def _of(shown: Iterable[Part], blocks: Blocks) -> tuple[Part, ...]:
    """What is shown where just these blocks are shared."""
    found = (
        Part(start, stop, {term: n for term, n in terms.items() if term[1] == blocks})
        for start, stop, terms in shown
    )
    return tuple(part for part in found if part.terms)


def _shared(blocks: Blocks, shown: tuple[Part, ...], queries: Ends, keys: Ends) -> int:
    """Pairs in the parts of blocks, of which those at the ends of the rectangle are no squares."""
    if not blocks:
        return pairs_between(shown, queries, keys)
    low, high = max(queries[0], keys[0]), min(queries[1], keys[1])
    first, last = around(blocks, low)[1], around(blocks, high)[0]
    found = 0
    if low < high and first <= last:
        found = _squares(blocks, shown, first, last)
    for start, stop in _at_ends(blocks, low, high):
        inside = [(max(start, a), min(stop, b)) for a, b in (queries, keys)]
        found += pairs_between(shown, inside[0], inside[1])
    return found


def _at_ends(blocks: Blocks, low: int, high: int) -> Iterator[Ends]:
    """The parts that hold the ends of what queries and keys have in common, or all between them."""
    before, after = around(blocks, low)[0], around(blocks, high)[1]
    first, last = around(blocks, low)[1], around(blocks, high)[0]
    if low >= high:
        if before < high:
            yield before, around(blocks, low + 1)[1]
    elif first > last:
        yield before, after
    else:
        yield before, first
        yield last, after


def _squares(blocks: Blocks, shown: tuple[Part, ...], first: int, last: int) -> int:
    """Pairs in all parts between two cuts."""
    found = lengths(blocks, first, last)
    kind = np.int64 if max(found, default=0) < _WIDE else object
    sides = np.array([*found], kind)
    pairs = np.zeros(len(found), kind)
    for start, stop, terms in shown:
        for (step, _), number in terms.items():
            for a, b in ((max(start, 0), stop), (max(1 - stop, 1), 1 - start)):
                if a < b:
                    pairs += number * (_near(sides, b, step) - _near(sides, a, step))
    return sum(n * many for n, many in zip(pairs.tolist(), found.values(), strict=True))


def _near(sides: Ints, stop: int, step: int) -> Ints:
    """Pairs in squares whose distance is a multiple of a step, from 0 up to `stop`."""
    many = -(-np.minimum(sides, stop) // step)
    return np.asarray(many * sides - step * many * (many - 1) // 2)
