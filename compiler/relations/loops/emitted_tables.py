"""Masks with tables in the source of patterns: their terms' loops, cut by documents and draws.

What the source uses is in `runtime/tables.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.definitions import is_closed, meaning
from mmspec.compiler.relations.meaning.formula import Formula, Named, both, either, negate
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.compiler.relations.meaning.terms import Term, draw_of, terms
from mmspec.expressions.mask import Mask, Pattern, fold, patterns

__all__ = ["has_loops", "literals", "seen_formula", "terms_of"]

_FEW: Final = 12
"""Patterns of a mask that isl takes in any case."""

_OPERATIONS: Final = 200_000


def terms_of(mask: Mask, key: Side) -> tuple[Term, ...]:
    """The terms of a mask; a formula is its own."""
    return (Term(mask),) if is_closed(mask) else terms(mask, key)


def literals(mask: SequenceMask, query: Side, key: Side, term: Term) -> str:
    """Source: the tables that cut the loops of a term, and whether they hold."""
    found = (f"({_table(mask, query, key, p)}, {holds})" for p, holds in term.literals)
    return f"[{', '.join(found)}]"


def seen_formula(mask: SequenceMask, query: Side, key: Side) -> tuple[list[str], Formula]:
    """Statements that name what tables show, and when `q` sees `k`, counted in their segments."""
    names: dict[Pattern, str] = {}
    formula = _formula(mask.mask(query.name, key.name), query, key, names)
    tables = ((name, _table(mask, query, key, table)) for table, name in names.items())
    return [f"{name} = sees({table}, q, k)" for name, table in tables], formula


def _formula(mask: Mask, query: Side, key: Side, names: dict[Pattern, str]) -> Formula:
    """The formula of a mask, in which tables have names."""

    def of_pattern(pattern: Pattern) -> Formula:
        if pattern.facts.is_formula:
            return meaning(pattern, query.geometry, key.geometry)
        number = sum(table.name == pattern.name for table in names) + 1
        word = "drawn" if pattern.facts.is_drawn else "shared"
        return Named(names.setdefault(pattern, word if number == 1 else f"{word}_{number}"))

    return fold(mask, of_pattern, negate, both, either)


def _table(mask: SequenceMask, query: Side, key: Side, pattern: Pattern) -> str:
    """Source: a table of two segments."""
    if pattern.facts.is_drawn:
        rows, blocks, there, seed = draw_of(pattern, query, key)
        return f"Draw({rows=}, {blocks=}, {there=}, {seed=})"
    own = [*_packed(mask, mask.queries)]
    before = own[: own.index(query)]
    start = " + ".join(str(side.count) for side in before) or "0"
    return f"documents.between({start}, {[*_packed(mask, mask.keys)].index(key)})"


def _packed(mask: SequenceMask, sides: tuple[Side, ...]) -> Iterator[Side]:
    """Segments whose documents are given, in order."""
    return (side for side in sides if side.name in mask.packed)


def has_loops(mask: Mask, query: Side, key: Side) -> bool:
    """Whether the tiles of a mask can be found: tables need tokens that can stand in a line.

    Masks of many patterns may also be more than isl can say what they are.
    """
    flat = all(len(s.geometry.axes) == 1 or not s.geometry.symbols for s in (query, key))
    if not (is_closed(mask) or flat):
        return False
    few = len(patterns(mask)) <= _FEW
    return few or all(
        _is_known(term.closed, query.geometry, key.geometry) for term in terms_of(mask, key)
    )


@lru_cache(maxsize=1024)
def _is_known(mask: Mask, query: Geometry, key: Geometry) -> bool:
    """Whether isl can say in bounded time what a mask is."""
    try:
        with limited(_OPERATIONS):
            relation(mask, query, key)
    except TooHardError:
        return False
    return True
