"""The orders that the compiler lays the tokens of segments in, as orders of the adviser."""

from __future__ import annotations

from mmspec.compiler.relations.loops.arrangement import Boxes, Layout, Line, layout
from mmspec.compiler.relations.meaning.sequence import SequenceMask
from mmspec.expressions.mask import Mask, Pattern, patterns
from mmspec.verify.tune.order import ROWS, Order

__all__ = ["arranged"]

_CUBES = {(8, 8), (1, 8, 8), (4, 4, 4)}
"""Boxes of neighbours; others are whole rows."""


def arranged(sequence: SequenceMask, name: str) -> Order:
    """That of a segment."""
    side = next(side for side in sequence.sides if side.name == name)
    return _order(layout(sequence, side), sequence.mask(name, name))


def _order(found: Layout, own: Mask) -> Order:
    if isinstance(found, Line):
        return ROWS
    if isinstance(found, Boxes):
        return Order("boxes" if found.sides in _CUBES else "bands")
    if found.step is not None:
        return Order("classes", Pattern("strided", (("step", found.step),)))
    (pattern,) = patterns(own)
    return Order("windows" if pattern.is_windows else "lines", pattern)
