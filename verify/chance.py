"""What random blocks change: pairs and tiles in the blocks that are drawn, all blocks at once.

Blocks that are drawn are few. Elsewhere a mask shows what it shows where nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final

import numpy as np

from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, drawn, rewrite
from mmspec.verify import blocks
from mmspec.verify.boxes import Ends
from mmspec.verify.distances import at, of_distance
from mmspec.verify.seen import BLOCK, Ints, Side, draws, seen_at
from mmspec.verify.uncounted import NotCountedError

__all__ = ["changed", "undrawn"]

_MOST: Final = 2**20
"""Blocks that are drawn and looked at."""

_CHUNK: Final = 256
"""Blocks whose pairs are held at a time."""


def undrawn(mask: Mask) -> Mask:
    """The mask where random patterns show nothing."""
    return rewrite(mask, lambda pattern: NONE if pattern.facts.is_drawn else pattern)


def changed(mask: Mask, query: Side, key: Side) -> tuple[int, int]:
    """Visible pairs, and tiles of 64 x 64 with one, that a mask has more than without its draws.

    Raises NotCountedError where too many blocks are drawn.
    """
    chances, there = drawn(mask), -(-key.most // BLOCK)
    rows = -(-query.stop // BLOCK)
    many = rows * sum(min(chance.size("blocks"), there) for chance in chances)
    if many > _MOST:
        raise NotCountedError(
            f"{rows:,} blocks of queries draw {many:,} random blocks: too many to count",
            f"at most {_MOST:,} are counted: take a shorter `length.max`, or fewer blocks",
        )
    codes = {
        chance: (np.arange(rows)[:, None] * there + draws(chance, np.arange(rows), there)).ravel()
        for chance in chances
    }
    every = np.unique(np.concatenate([*codes.values()]))
    every = every[every % there * BLOCK < key.stop]
    holds = {chance: np.isin(every, codes[chance]) for chance in chances}
    pairs = tiles = 0
    for values in product((NONE, FULL), repeat=len(chances)):
        by = dict(zip(chances, values, strict=True))
        shown = _put(mask, by)
        chosen = np.ones(len(every), np.bool_)
        for chance, value in by.items():
            chosen &= holds[chance] == (value == FULL)
        where = every[chosen] // there, every[chosen] % there
        for sign, one in ((1, shown), (-1, undrawn(mask))):
            found = _visible(one, (query, key), *where)
            pairs += sign * int(found.sum())
            tiles += sign * int(np.count_nonzero(found))
    return pairs, tiles


def _put(mask: Mask, by: Mapping[Pattern, Pattern]) -> Mask:
    """The mask with `full` or `none` for what is drawn."""
    return rewrite(mask, lambda pattern: by.get(pattern, pattern))


def _visible(mask: Mask, sides: tuple[Side, Side], rows: Ints, columns: Ints) -> Ints:
    """Visible pairs of blocks of two segments."""
    tall, wide = (
        np.minimum(side.stop - at_ * BLOCK, BLOCK)
        for side, at_ in zip(sides, (rows, columns), strict=True)
    )
    if mask in (FULL, NONE) or not len(rows):
        return tall * wide * (mask == FULL)
    ends = (
        Ends((rows * BLOCK)[None], (rows * BLOCK + tall - 1)[None]),
        Ends((columns * BLOCK)[None], (columns * BLOCK + wide - 1)[None]),
    )
    shades = np.broadcast_to(blocks.block_shades(mask, *sides, ends), (1, len(rows)))[0]
    found: Ints = np.where(shades == blocks.ALL, tall * wide, 0)
    partly = np.flatnonzero((shades != blocks.ALL) & (shades != blocks.NONE))
    for part in _chunks(partly):
        found[part] = _looked_at(mask, sides, (rows[part], columns[part]), (tall[part], wide[part]))
    return found


def _chunks(places: Ints) -> Iterator[Ints]:
    return (places[first : first + _CHUNK] for first in range(0, len(places), _CHUNK))


def _looked_at(
    mask: Mask, sides: tuple[Side, Side], where: tuple[Ints, Ints], sizes: tuple[Ints, Ints]
) -> Ints:
    """By each distance in a block, if that is all that counts; otherwise pair by pair."""
    tall, wide = (size[:, None] for size in sizes)
    if of_distance(mask):
        apart = np.arange(1 - BLOCK, BLOCK)
        number = np.minimum(tall, wide + apart) - np.maximum(apart, 0)
        shown = at(mask, (where[0] - where[1])[:, None] * BLOCK + apart)
        return np.asarray((np.maximum(number, 0) * shown).sum(axis=1))
    place = np.arange(BLOCK)
    q, k = (x[:, None] * BLOCK + place for x in where)
    table = seen_at(mask, sides, q[:, :, None], k[:, None, :])
    there = (place < tall)[:, :, None] & (place < wide)[:, None, :]
    return np.asarray((table & there).sum(axis=(1, 2)))
