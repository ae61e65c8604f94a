"""Tiles of masks with random blocks: those of the mask without them, and what each block changes.

Blocks that are drawn are few. Elsewhere the mask shows what it shows without any.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm
from typing import Final

from mmspec.expressions.mask import Mask
from mmspec.expressions.mask import drawn as drawing
from mmspec.verify.chance import undrawn
from mmspec.verify.seen import BLOCK, Side, drawn
from mmspec.verify.tune.counted import Tiles, Tilings, by_pairs

__all__ = ["by_drawn_blocks"]

_MOST: Final = 4096
"""Blocks that are looked at."""


def by_drawn_blocks(
    mask: Mask, query: Side, key: Side, tilings: Tilings, rest: Tiles
) -> Tiles | None:
    """The tiles of a mask, in the order of the tokens; None where the blocks are too many.

    rest: those of the mask where nothing is drawn.
    """
    if {tiling.kind for tiling in tilings} != {"rows"}:
        return None
    tall, wide = (lcm(2 * BLOCK, tiling.tokens) for tiling in tilings)
    draws = sum(pattern.size("blocks") for pattern in drawing(mask))
    if -(-query.stop // BLOCK) * draws > _MOST:
        return None
    found = [*_changed(mask, query, key, (tall, wide))]
    without = undrawn(mask)
    for part in found:
        rest += by_pairs(mask, *part, tilings) - by_pairs(without, *part, tilings)
    return rest


def _changed(
    mask: Mask, query: Side, key: Side, sides: tuple[int, int]
) -> Iterator[tuple[Side, Side]]:
    """Parts of the segments, of whole tiles and whole blocks, with a block that is drawn."""
    tall, wide = sides
    chances = drawing(mask)
    blocks = -(-key.most // BLOCK)
    for first in range(0, query.stop, tall):
        places = range(first // BLOCK, -(-min(first + tall, query.stop) // BLOCK))
        there = {
            x * BLOCK // wide for p in chances for place in places for x in drawn(p, place, blocks)
        }
        for column in sorted(there):
            if column * wide < key.stop:
                part = key.part(column * wide, (column + 1) * wide)
                yield query.part(first, first + tall), part
