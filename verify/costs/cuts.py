"""The parts into which blocks of several sizes together cut a line: how many of each length.

Between two cuts of the larger blocks the parts of the smallest follow from its size, and what all
blocks do together repeats by their least common multiple; so few cuts are gone through.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import lcm
from typing import Final

import numpy as np
import numpy.typing as npt

from mmspec.verify.distances import Blocks

__all__ = ["Ints", "TooManyCutsError", "around", "lengths"]

Ints = npt.NDArray[np.int64]

_MOST: Final = 2**21
"""Cuts that are gone through at once."""

_TURNS: Final = 2**10
"""Parts of the largest blocks that are gone through one by one."""


class TooManyCutsError(ValueError):
    """Blocks cut a line too often before that repeats; the message says how often."""


Sizes = tuple[tuple[int, int], ...]
"""Of blocks, the smallest first."""


def lengths(blocks: Blocks, first: int, last: int) -> Counter[int]:
    """How many parts of each length there are from one cut to another. Raises TooManyCutsError."""
    found = Counter[int]()
    if first < last:
        _add(found, tuple(sorted(blocks)), first, last, 1)
    return found


def around(blocks: Blocks, place: int) -> tuple[int, int]:
    """The last cut up to a place, and the first one from there on."""
    return (
        max(place - (place - begin) % size for size, begin in blocks),
        min(place + (begin - place) % size for size, begin in blocks),
    )


def _add(found: Counter[int], blocks: Sizes, first: int, last: int, times: int) -> None:
    """Add the parts from one cut to another, each so many times."""
    period = lcm(*(size for size, _ in blocks))
    size, begin = blocks[-1]
    start = first + (begin - first) % size
    turns = (last - start) // period
    if turns > 1:
        stop = start + turns * period
        for a, b, often in ((first, start, 1), (start, start + period, turns), (stop, last, 1)):
            if a < b:
                _add(found, blocks, a, b, times * often)
        return
    larger = sum((last - first) // size for size, _ in blocks[1:])
    if larger <= _MOST:
        _add_at_once(found, blocks, first, last, times)
        return
    if (last - start) // size > _TURNS:
        raise TooManyCutsError(f"blocks that cut the tokens {larger:,} times before that repeats")
    for a, b in pairwise(sorted({first, *range(start, last, size), last})):
        _add(found, blocks[:-1], a, b, times)


def _add_at_once(found: Counter[int], blocks: Sizes, first: int, last: int, times: int) -> None:
    """By all cuts of the larger blocks; the smallest has whole parts between them, and two ends."""
    ends = [np.array([first, last], np.int64)]
    ends += [np.arange(first + (begin - first) % size, last, size) for size, begin in blocks[1:]]
    cuts = np.unique(np.concatenate(ends))
    starts, stops = cuts[:-1], cuts[1:]
    size, begin = blocks[0]
    heads = np.minimum((begin - starts) % size, stops - starts)
    whole, tails = np.divmod(stops - starts - heads, size)
    for part in (heads, tails):
        sizes, number = np.unique(part[part > 0], return_counts=True)
        for length, count in zip(sizes.tolist(), number.tolist(), strict=True):
            found[length] += count * times
    if many := int(whole.sum()):
        found[size] += many * times
