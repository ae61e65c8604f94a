"""Visible pairs of a mask between two segments: by cells, by its relation, or by a table.

Patterns of one sequence have closed forms written by hand (`pairs.py`): isl would need seconds to
write those of blocks of several sizes. All other masks are counted by their relations
(`related.py`), and random ones at given lengths (`tabled.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mmspec.compiler import ir
from mmspec.expressions.mask import FULL, Mask, drawn, patterns, rewrite
from mmspec.verify.costs import pairs
from mmspec.verify.costs.cells import TooManyCellsError
from mmspec.verify.costs.polynomial import Polynomial, constant, known_or_named, variable

if TYPE_CHECKING:
    from mmspec.verify.seen import Side

_ACROSS: Final = frozenset({"full", "none", "global"})
_WITHIN: Final = frozenset({*_ACROSS, "causal", "window", "dilated", "block"})

Sizes = tuple[int | str, int | str]
"""Tokens of queries and keys: a number, or the name of a symbol."""

_FEW: Final = 2**20
"""Pairs that are looked at in less time than some closed forms take."""


@lru_cache(maxsize=4096)
def visible(query: ir.Segment, key: ir.Segment, mask: Mask, sizes: Sizes) -> Polynomial:
    """Pairs visible in one head; a sample is one document."""
    if 0 in sizes:
        return constant(0)
    mask = undivided(mask)
    names = {pattern.name for pattern in patterns(mask)}
    if names <= (_WITHIN if query.geometry == key.geometry else _ACROSS):
        try:
            return pairs.visible(query, key, mask, sizes)
        except TooManyCellsError:
            return related_or_tabled(query, key, mask)
    if drawn(mask):
        from mmspec.compiler.relations.meaning.terms import settled
        from mmspec.verify.chance import undrawn

        plain = settled(mask, key.tokens.max)
        if plain != mask:
            return visible(query, key, plain, sizes)
        return _tabled(query, key, mask, visible(query, key, undrawn(mask), sizes))
    return related_or_tabled(query, key, mask)


def visible_pairs_of(
    mask: Mask, segments: tuple[ir.Segment, ir.Segment], sides: tuple[Side, Side]
) -> int:
    """Pairs visible in one head between two segments whose lengths are known."""
    from mmspec.verify.costs import lines
    from mmspec.verify.seen import seen

    tokens = sides[0].stop, sides[1].stop
    if tokens[0] * tokens[1] <= _FEW:
        return int(seen(mask, *sides).sum())
    plain, on_lines = undivided(mask), all(len(side.geometry.axes) == 1 for side in sides)
    if on_lines and lines.is_counted(plain):
        return lines.counted(plain, *tokens)
    sizes = [segment.tokens.symbol or segment.tokens.max for segment in segments]
    lengths = {str(size): count for size, count in zip(sizes, tokens, strict=True)}
    return int(visible(*segments, mask, (sizes[0], sizes[1])).evaluate(lengths))


def related_or_tabled(query: ir.Segment, key: ir.Segment, mask: Mask) -> Polynomial:
    """By the mask's relation, unless that needs too many pieces."""
    from mmspec.compiler.relations.counting.summation import TooManyPiecesError
    from mmspec.compiler.relations.limit import TooHardError
    from mmspec.verify.costs.related import related

    try:
        return related(query, key, mask)
    except (TooHardError, TooManyPiecesError):
        return _tabled(query, key, mask, None)


def _tabled(
    query: ir.Segment, key: ir.Segment, mask: Mask, without: Polynomial | None
) -> Polynomial:
    from mmspec.verify.costs.tabled import Tabled

    atom = Tabled(query, key, mask, without)
    return variable(atom) if atom.symbols else known_or_named(atom)


def undivided(mask: Mask) -> Mask:
    """The simplified mask in a sample that is one document."""
    return rewrite(mask, lambda pattern: FULL if pattern.facts.is_packed else pattern)
