"""Masks with tables as terms that have no pair in common: a formula each, and what narrows it.

terms(mask) -> (Term, ...), by Shannon's expansion over the tables: `document & causal` is the
formula `causal` within documents; `document | prefix(4)` is everything within documents, and
`prefix(4)` outside of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mmspec.compiler.relations.meaning.sequence import Side
from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, drawn, patterns, rewrite, simplify

__all__ = ["BLOCK", "Term", "draw_of", "put", "settled", "terms", "with_documents"]

BLOCK: Final = 64
"""Tokens in a block of the random pattern, whatever the tiles of a kernel."""


@dataclass(frozen=True, slots=True)
class Term:
    """The pairs that a formula shows where each of some tables holds, or does not hold."""

    closed: Mask
    literals: tuple[tuple[Pattern, bool], ...] = ()


def terms(mask: Mask, key: Side) -> tuple[Term, ...]:
    """Terms that are a mask together, of which no two have a pair in common."""
    if not drawn(mask):
        return tuple(_terms(simplify(mask)))
    assert key.most is not None, key
    return tuple(_terms(settled(mask, key.most)))


def draw_of(pattern: Pattern, query: Side, key: Side) -> tuple[int, int, int, int]:
    """What `random` draws: for how many blocks of queries how many, of how many keys have; seed."""
    there = _blocks(key)
    return _blocks(query), min(pattern.size("blocks"), there), there, pattern.size("seed")


def _blocks(side: Side) -> int:
    """How many blocks a segment can have."""
    assert side.most is not None, side
    return -(-side.most // BLOCK)


def settled(mask: Mask, most: int) -> Mask:
    """The simplified mask where `random` is `full` if it draws all blocks of so many keys."""

    def known(pattern: Pattern) -> Mask:
        every = pattern.facts.is_drawn and pattern.size("blocks") * BLOCK >= most
        return FULL if every else pattern

    return rewrite(mask, known)


def _terms(mask: Mask) -> Iterator[Term]:
    table = next((pattern for pattern in patterns(mask) if not pattern.facts.is_formula), None)
    if table is None:
        yield from () if mask == NONE else (Term(mask),)
        return
    seen, hidden = put(mask, table, FULL), put(mask, table, NONE)
    if seen == hidden:
        yield from _terms(seen)
        return
    for part, holds in ((seen, True), (hidden, False)):
        for term in _terms(part):
            yield Term(term.closed, ((table, holds), *term.literals))


def put(mask: Mask, pattern: Pattern, value: Pattern) -> Mask:
    """The simplified mask with `full` or `none` for a pattern."""
    return rewrite(mask, lambda one: value if one == pattern else one)


def with_documents(mask: Mask, value: Pattern) -> Mask:
    """The simplified mask where all tokens are of one document (`full`), or no two (`none`)."""
    return rewrite(mask, lambda one: value if one.facts.is_packed else one)
