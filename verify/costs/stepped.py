"""Tiles of lines with a visible pair, of masks that go by distance alone: steps of any size.

Between two tiles lie all distances from one to another, so what matters of a tile of queries i and
one of keys j is how far apart they begin: tall * i - wide * j. In each part of a mask's distances
what is shown repeats by its steps; at so many tiles apart their number is a closed form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmspec.expressions.mask import Mask
from mmspec.verify.costs.cuts import Ints
from mmspec.verify.distances import Ends, Part, of_distance, pairs_between, parts

__all__ = ["touched_apart", "touched_in_classes"]

_MOST: Final = 2**19
"""Places that are looked at for one answer: some tens of milliseconds."""


class _TooManyError(Exception):
    """Not counted here."""


@lru_cache(maxsize=4096)
def touched_apart(mask: Mask, tokens: tuple[int, int], tile: tuple[int, int]) -> int | None:
    """Of so many queries and keys, in tiles of so many as they come; None: not told here."""
    if not of_distance(mask):
        return None
    try:
        return _touched(parts(mask, 1 - tokens[1], tokens[0]), tokens, tile)
    except (_TooManyError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def touched_in_classes(
    mask: Mask, tokens: tuple[int, int], tile: tuple[int, int], step: int
) -> int | None:
    """The same in tiles of every `step`-th token, where that is the only step of the mask."""
    if not of_distance(mask):
        return None
    try:
        shown = parts(mask, 1 - tokens[1], tokens[0])
        if any(one not in (1, step) for part in shown for one, _ in part.terms):
            return None
        return sum(
            number * _touched(_within(shown, rest, step), sizes, tile)
            for rest, sizes, number in _pairs_of_classes(shown, tokens, step)
        )
    except (_TooManyError, OverflowError):
        return None


def _pairs_of_classes(
    shown: tuple[Part, ...], tokens: tuple[int, int], step: int
) -> Iterator[tuple[int, tuple[int, int], int]]:
    """How far apart two classes begin, their tokens, and how many such pairs show the same."""
    ends = {end % step for start, stop, _ in shown for end in (start, stop)}
    cuts = sorted({0, 1, *(x - up for x in ends for up in (0, step)), 1 - step, step})
    every = [[(0, n % step, n // step + 1), (n % step, step, n // step)] for n in tokens]
    for (a, b, queries), (c, d, keys) in product(*every):
        for start, stop in pairwise(x for x in cuts if 1 - step <= x <= step):
            one = Part(start, stop, {(1, frozenset()): 1})
            number = pairs_between((one,), (a, b), (c, d))
            if number and queries and keys:
                yield start, (queries, keys), number


def _within(shown: tuple[Part, ...], rest: int, step: int) -> tuple[Part, ...]:
    """What is shown between classes that begin so far apart, by the places of their tokens."""
    found = []
    for start, stop, terms in shown:
        number = sum(n for (one, _), n in terms.items() if one == 1 or rest == 0)
        first, last = (-(-(end - rest) // step) for end in (start, stop))
        found.append(Part(first, last, {(1, frozenset()): number} if number else {}))
    return tuple(part for part in found if part.start < part.stop)


def _touched(shown: tuple[Part, ...], tokens: tuple[int, int], tile: tuple[int, int]) -> int:
    if tile[0] < tile[1]:
        turned = tuple(Part(1 - stop, 1 - start, terms) for start, stop, terms in reversed(shown))
        return _touched(turned, (tokens[1], tokens[0]), (tile[1], tile[0]))
    if tile[0] % tile[1]:
        raise _TooManyError
    cut = (
        [(0, n // side, side), (n // side, -(-n // side), n % side)]
        for n, side in zip(tokens, tile, strict=True)
    )
    found = 0
    for (first, last, tall), (left, right, wide) in product(*cut):
        if first < last and left < right:
            rows = _Tiles((first, last), (left, right), (tall, wide), tile)
            found += rows.touched(shown)
    return found


@dataclass(frozen=True, slots=True)
class _Tiles:
    """Tiles of queries and of keys, all of one size; `tile` is how far apart they begin."""

    queries: Ends
    keys: Ends
    size: tuple[int, int]
    tile: tuple[int, int]

    def touched(self, shown: tuple[Part, ...]) -> int:
        """Pairs of them, by places: keys' tiles begin at `place` times their width before those of
        the queries.
        """
        times = self.tile[0] // self.tile[1]
        lowest = times * self.queries[0] - self.keys[1] + 1
        stop = times * (self.queries[1] - 1) - self.keys[0] + 1
        found, done = 0, lowest
        for part in shown:
            inside = self._inside(part)
            first, last = max(inside[0], done), min(inside[1], stop)
            if first >= last:
                continue
            found += self._looked_at(shown, done, first)
            found += self._repeating(part, first, last)
            done = last
        return found + self._looked_at(shown, done, stop)

    def _inside(self, part: Part) -> Ends:
        """Places at which all distances are of one part."""
        tall, wide = self.size
        return -(-(part.start + wide - 1) // self.tile[1]), -(
            -(part.stop - tall + 1) // self.tile[1]
        )

    def _looked_at(self, shown: tuple[Part, ...], first: int, last: int) -> int:
        """Pairs of tiles at places between two, one by one."""
        if first >= last:
            return 0
        if last - first > _MOST:
            raise _TooManyError
        places = np.arange(first, last)
        return int(self._number(places[self._shows(shown, places)]).sum())

    def _shows(self, shown: tuple[Part, ...], places: Ints) -> NDArray[np.bool_]:
        """Whether a distance is shown at these places."""
        low = places * self.tile[1] - self.size[1]
        high = places * self.tile[1] + self.size[0] - 1
        found = np.zeros(places.shape, np.bool_)
        for start, stop, terms in shown:
            a, b = np.clip(low, start - 1, stop - 1), np.clip(high, start - 1, stop - 1)
            number = sum(n * (b // step - a // step) for (step, _), n in terms.items())
            found |= np.asarray(number > 0)
        return np.asarray(found, np.bool_)

    def _repeating(self, part: Part, first: int, last: int) -> int:
        """At places within a part: by what repeats, or by all distances that are shown."""
        steps = [step for step, _ in part.terms]
        if not steps:
            return 0
        times = self.tile[0] // self.tile[1]
        period = lcm(*steps)
        period = lcm(period // np.gcd(period, self.tile[1]).item(), times)
        if period <= _MOST:
            places = np.arange(first, min(first + period, last))
            places = places[self._shows((part,), places)]
            return int(self._along(places, period, (last - 1 - places) // period + 1).sum())
        if 1 in steps:
            if len(steps) > 2 or sum(self.size) < 3:
                raise _TooManyError
            every = np.array([*range(first, min(first + times, last))])
            return int(self._along(every, times, (last - 1 - every) // times + 1).sum())
        return self._sparse(part, first, last)

    def _sparse(self, part: Part, first: int, last: int) -> int:
        """By the multiples of large steps."""
        (tall, wide), side = self.size, self.tile[1]
        low, high = max(part.start, first * side - wide + 1), min(part.stop, last * side + tall)
        about = sum((high - low) // step + 1 for step, _ in part.terms) * (
            1 + (tall + wide) // side
        )
        if about > _MOST:
            raise _TooManyError
        each = [np.arange(-(-low // step) * step, high, step) for step, _ in part.terms]
        distances = np.unique(np.concatenate(each))
        number = sum(n * (distances % step == 0) for (step, _), n in part.terms.items())
        distances = distances[np.asarray(number > 0)]
        start = -(-(distances - tall + 1) // side)
        places = np.unique(start[:, None] + np.arange((tall + wide - 2) // side + 2))
        places = places[(places >= first) & (places < last)]
        places = places[self._shows((part,), places)]
        return int(self._number(places).sum())

    def _number(self, places: Ints) -> Ints:
        """Pairs of tiles at each place."""
        return self._along(places, 0, np.ones_like(places))

    def _along(self, places: Ints, by: int, many: Ints) -> Ints:
        """Pairs of tiles at so many places each, `by` apart: a multiple of tall / wide, or 0."""
        return self._before(self.keys[1], places, by, many) - self._before(
            self.keys[0], places, by, many
        )

    def _before(self, key: int, places: Ints, by: int, many: Ints) -> Ints:
        """The queries' tiles that are less than a key's away, at all of these places together.

        Of a place those from the first to the least i with tall / wide * i - place >= key.
        """
        times = self.tile[0] // self.tile[1]
        (low, high), grows = self.queries, by // times
        at = -(-(places + key) // times)
        if not grows:
            return np.asarray(many * (np.clip(at, low, high) - low))
        below = np.clip(-(-(low - at) // grows), 0, many)
        within = np.clip(-(-(high - at) // grows), below, many)
        number = within - below
        halves = np.where(
            number % 2, number * ((below + within - 1) // 2), number // 2 * (below + within - 1)
        )
        sums = number * (at - low) + grows * halves
        return np.asarray(sums + (many - within) * (high - low))
