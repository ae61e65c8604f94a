"""Masks with tables as terms that have no pair in common: a formula each, and what narrows it.

terms(mask) -> (Term, ...), by Shannon's expansion over the tables: `document & causal` is the
formula `causal` within documents; `document | prefix(4)` is everything within documents, and
`prefix(4)` outside of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mmspec.compiler.relations.meaning.definitions import TABLES
from mmspec.compiler.relations.meaning.sequence import Side
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, patterns

__all__ = ["BLOCK", "Term", "asks", "draw_of", "put", "settled", "terms"]

BLOCK: Final = 64
"""Tokens in a block of the random pattern, whatever the tiles of a kernel."""

_FULL: Final = Pattern("full")
_NONE: Final = Pattern("none")


@dataclass(frozen=True, slots=True)
class Term:
    """The pairs that a formula shows where each of some tables holds, or does not hold."""

    closed: Mask
    literals: tuple[tuple[Pattern, bool], ...] = ()


def asks(mask: Mask, name: str) -> bool:
    """Whether a mask has a pattern of that name."""
    return any(pattern.name == name for pattern in patterns(mask))


def terms(mask: Mask, key: Side) -> tuple[Term, ...]:
    """Terms that are a mask together, of which no two have a pair in common."""
    if asks(mask, "random"):
        assert key.most is not None, key
        mask = settled(mask, key.most)
    return tuple(_terms(put(mask, _FULL, _FULL)))


def draw_of(pattern: Pattern, query: Side, key: Side) -> tuple[int, int, int, int]:
    """What `random` draws: for how many blocks of queries how many, of how many keys have; seed."""
    there = _blocks(key)
    return _blocks(query), min(pattern.size("blocks"), there), there, pattern.size("seed")


def _blocks(side: Side) -> int:
    """How many blocks a segment can have."""
    assert side.most is not None, side
    return -(-side.most // BLOCK)


def settled(mask: Mask, most: int) -> Mask:
    """The mask where `random` is `full` if it draws all the blocks that so many keys can have."""
    for pattern in patterns(mask):
        if pattern.name == "random" and pattern.size("blocks") * BLOCK >= most:
            mask = put(mask, pattern, _FULL)
    return mask


def _terms(mask: Mask) -> Iterator[Term]:
    table = next((pattern for pattern in patterns(mask) if pattern.name in TABLES), None)
    if table is None:
        yield from () if mask == _NONE else (Term(mask),)
        return
    seen, hidden = put(mask, table, _FULL), put(mask, table, _NONE)
    if seen == hidden:
        yield from _terms(seen)
        return
    for part, holds in ((seen, True), (hidden, False)):
        for term in _terms(part):
            yield Term(term.closed, ((table, holds), *term.literals))


def put(mask: Mask, pattern: Pattern, value: Pattern) -> Mask:
    """The mask with `full` or `none` for a pattern, neither of which stays inside it."""
    if isinstance(mask, Pattern):
        return value if mask == pattern else mask
    if isinstance(mask, Not):
        operand = put(mask.operand, pattern, value)
        if operand in (_FULL, _NONE):
            return _NONE if operand == _FULL else _FULL
        return Not(operand)
    unit, zero = (_FULL, _NONE) if isinstance(mask, And) else (_NONE, _FULL)
    left, right = (put(side, pattern, value) for side in (mask.left, mask.right))
    if zero in (left, right):
        return zero
    if unit in (left, right):
        return right if left == unit else left
    return left if left == right else _joined(mask, left, right)


def _joined(mask: And | Or, left: Mask, right: Mask) -> Mask:
    return And(left, right) if isinstance(mask, And) else Or(left, right)
