"""Masks as signed sums of cells.

    cell := {(q, k): -after <= q - k <= before, step divides q - k,
                     q and k share a part of every block size, q >= beyond, k >= beyond}

Every pattern is a signed sum of cells and the meet of two cells is a cell, so a mask is a
polynomial whose products are meets: A & B = A*B, A | B = A + B - A*B, ~A = 1 - A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import lcm
from typing import Final

from mmspec.expressions.mask import NONE, Mask, Pattern, fold


@dataclass(frozen=True, slots=True)
class Cell:
    """A set of pairs (see above); `before` and `after` None: as far as the segment goes."""

    before: int | None = None
    after: int | None = None
    step: int = 1
    blocks: tuple[int, ...] = ()
    beyond: int = 0


Cells = tuple[tuple[Cell, int], ...]
_MOST: Final = 2**13
"""Meets in one product."""
EVERYTHING: Cells = ((Cell(), 1),)


def _meet(one: Cell, other: Cell) -> Cell:
    before, after = _least(one.before, other.before), _least(one.after, other.after)
    blocks = _finest({*one.blocks, *other.blocks})
    return _canonical(
        before, after, lcm(one.step, other.step), blocks, max(one.beyond, other.beyond)
    )


def _least(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def _finest(sizes: set[int]) -> tuple[int, ...]:
    """Block sizes without those that another one divides, whose parts lie within."""
    return tuple(
        sorted(n for n in sizes if not any(n % finer == 0 for finer in sizes if finer != n))
    )


def _canonical(
    before: int | None, after: int | None, step: int, blocks: tuple[int, ...], beyond: int
) -> Cell:
    """The cell, written the one way in which equal cells are equal."""
    if blocks:
        before, after = (_least(reach, blocks[0] - 1) for reach in (before, after))
    if step > 1:
        assert before is not None
        assert after is not None
        before, after = before // step * step, after // step * step
    if before == after == 0:
        return Cell(0, 0, 1, (), beyond)
    if blocks and step == 1:
        before, after = (None if reach == blocks[0] - 1 else reach for reach in (before, after))
    return Cell(before, after, step, blocks, beyond)


class TooManyCellsError(ValueError):
    """A mask is a sum of more cells than are worth to be had."""


@lru_cache(maxsize=1024)
def cells(mask: Mask) -> Cells:
    """A mask as a signed sum of cells; () when no pair is ever visible.

    Raises TooManyCellsError: with each `|` there may be twice as many.
    """
    return fold(
        mask,
        _pattern,
        lambda operand: _sum(EVERYTHING, operand, -1),
        _product,
        lambda one, other: _sum(_sum(one, other, 1), _product(one, other), -1),
    )


def _pattern(mask: Pattern) -> Cells:
    if mask == NONE:
        return ()
    if mask.first is not None:
        queries, keys = mask.first
        assert queries == keys, mask
        return (*EVERYTHING, (Cell(beyond=keys), -1))
    rule = mask.along()
    blocks = () if rule.size is None else (rule.size,)
    return ((_canonical(rule.before, rule.after, rule.step or 1, blocks, 0), 1),)


def _sum(left: Cells, right: Cells, sign: int) -> Cells:
    found = dict(left)
    for cell, count in right:
        found[cell] = found.get(cell, 0) + sign * count
    return tuple((cell, count) for cell, count in found.items() if count)


def _product(left: Cells, right: Cells) -> Cells:
    if len(left) * len(right) > _MOST:
        raise TooManyCellsError(f"{len(left)} times {len(right)} cells")
    found: dict[Cell, int] = {}
    for one, a in left:
        for other, b in right:
            cell = _meet(one, other)
            found[cell] = found.get(cell, 0) + a * b
    return tuple((cell, count) for cell, count in found.items() if count)
