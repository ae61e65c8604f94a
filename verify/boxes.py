"""Patterns of grids by blocks: a run of tokens, row by row, is a few boxes of coordinates.

Of two boxes, patterns are decided axis by axis: a pair is near when it is near along each of them.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from mmspec.expressions.mask import Pattern
from mmspec.expressions.mask_patterns import FREE, Rule
from mmspec.verify.seen import Bools, Ints, Side


class Ends(NamedTuple):
    """The first and the last token of each block, or coordinates of them.

    Of queries as a column, of keys as a row; there is none where the first is past the last.
    """

    first: Ints
    last: Ints

    def parts(self, size: int, shift: int) -> Ends:
        """Of the parts of `size`, moved by `shift`, in which they lie."""
        return Ends((self.first - shift) // size, (self.last - shift) // size)


Box = tuple[Ends, ...]


def near(query: Ends, key: Ends, reach: int) -> tuple[Bools, Bools]:
    """Whether any two of both intervals are at most so far apart, and whether all are."""
    some = (key.first - query.last <= reach) & (query.first - key.last <= reach)
    every = (key.last - query.first <= reach) & (query.last - key.first <= reach)
    return some, every


def kept(rule: Rule, query: Ends, key: Ends) -> tuple[Bools, Bools]:
    """Whether any two of both intervals keep a rule, of parts or of a reach, and whether all do."""
    if rule.size is not None:
        ours, theirs = (ends.parts(rule.size, rule.begin) for ends in (query, key))
        return near(ours, theirs, 0)
    assert rule.reach is not None, rule
    return near(query, key, rule.reach)


def decided(
    pattern: Pattern, sides: tuple[Side, Side], ends: tuple[Ends, Ends]
) -> tuple[Bools, Bools]:
    """Whether any pair of a block is visible, and whether all are."""
    split = [
        _boxes(end.first, end.last, _inner(side)) for side, end in zip(sides, ends, strict=True)
    ]
    names = [[axis.name for axis in side.geometry.axes] for side in sides]
    some, every = np.zeros((1, 1), np.bool_), np.ones((1, 1), np.bool_)
    for query, key in product(*split):
        there = _is_there(query) & _is_there(key)
        if not there.any():
            continue
        one, all_ = there, np.ones((1, 1), np.bool_)
        for name, at in zip(names[0], query, strict=True):
            rule = pattern.along(name) if name in names[1] else FREE
            if rule != FREE:
                found = kept(rule, at, key[names[1].index(name)])
                one, all_ = one & found[0], all_ & found[1]
        some, every = some | one, every & (all_ | ~there)
    return some, every


def _inner(side: Side) -> tuple[int, ...]:
    """Sizes of all axes but the first."""
    sizes = [axis.size for axis in side.geometry.axes[1:]]
    known = tuple(size for size in sizes if isinstance(size, int))
    assert len(known) == len(sizes), side
    return known


def _boxes(first: Ints, last: Ints, inner: tuple[int, ...]) -> list[Box]:
    """The tokens from the first to the last, as boxes; some of them are empty."""
    if not inner:
        return [(Ends(first, last),)]
    area = int(np.prod(inner))
    top, bottom = first // area, last // area
    left, right = first % area, last % area
    alone = top == bottom
    heads = _boxes(left, np.where(alone, right, area - 1), inner[1:])
    tails = _boxes(np.zeros_like(right), right, inner[1:])
    rest = (Ends(np.zeros_like(first), np.full_like(first, size - 1)) for size in inner)
    return [
        *((Ends(top, top), *box) for box in heads),
        (Ends(top + 1, bottom - 1), *rest),
        *((Ends(bottom, np.where(alone, bottom - 1, bottom)), *box) for box in tails),
    ]


def _is_there(box: Box) -> Bools:
    found = np.ones((1, 1), np.bool_)
    for first, last in box:
        found = found & (first <= last)
    return found
