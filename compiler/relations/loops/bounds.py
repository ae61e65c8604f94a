"""Bounds of rows without gaps, as one would write them by hand.

Where the keys of a query are an interval that moves on with the query, a tile's keys are those
between the first of its first query and the last of its last. That reads better than what comes
out of joining tiles and mask, and it is used only where isl proves it equal to that.
"""

from __future__ import annotations

from collections.abc import Callable

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.loops.loops import Block, If, Run
from mmspec.compiler.relations.loops.normal import never_more, normal
from mmspec.compiler.relations.meaning.formula import as_isl
from mmspec.compiler.relations.meaning.relation import Relation
from mmspec.compiler.relations.syntax import (
    Expression,
    Operation,
    added,
    read,
    replaced,
    write,
)

__all__ = ["bounded_runs"]

_Ends = tuple[Expression, Expression]
"""The first, and what is after the last."""


def bounded_runs(
    relation: Relation,
    tiles: tuple[tuple[int, ...], ...],
    found: dict[bool, isl.Map],
    facts: isl.Set,
) -> Block | None:
    """Runs of a mask between lines, or None where its rows are no such intervals.

    found: the tiles by whether they are whole. facts: what is known of a tile of queries.
    """
    rows = _rows(relation)
    if rows is None:
        return None
    (tall,), (wide,) = tiles
    (name,), (index,) = relation.names[0], relation.tile_names[0]
    first = index if tall == 1 else Operation("*", (tall, index))
    last = added(first, tall - 1)
    until = added(relation.query.axes[0].size, -1)
    (start, _), (inner_start, stop), (_, final), (_, inner_stop) = (
        [replaced(end, name, query) for end in rows] for query in (first, last, until, first)
    )
    size = relation.key.axes[0].size
    outer = _tiles(start, (stop, final), size, (wide, wide - 1), facts)
    touched = found[True].union(found[False])
    there: Expression = Operation("<", (normal(start, facts), size))
    if _proved(touched, relation, outer, facts):
        there = 1
    elif not _proved(touched, relation, outer, facts, there):
        return None
    if found[True].is_empty():
        runs = _kept(facts, Run((), *outer, 1, False))
    else:
        inner = _tiles(added(inner_start, wide - 1), (inner_stop,), size, (wide, 0), facts)
        if not _proved(found[True], relation, inner, facts, there):
            return None
        before = normal(Operation("min", (inner[0], outer[1])), facts)
        after = normal(Operation("max", inner), facts)
        runs = _kept(
            facts,
            Run((), outer[0], before, 1, False),
            Run((), *inner, 1, True),
            Run((), after, outer[1], 1, False),
        )
    return runs if there == 1 else (If(there, runs),)


def _kept(facts: isl.Set, *runs: Run) -> Block:
    """Without runs that are never any tiles."""
    return tuple(run for run in runs if not never_more(run.stop, run.start, facts))


def _tiles(
    first: Expression,
    lasts: tuple[Expression, ...],
    size: int | str,
    rounding: tuple[int, int],
    facts: isl.Set,
) -> _Ends:
    """Tiles from that of the first key to that of the least last one, of the keys there are.

    rounding: the side of a tile, and what is added to the end.
    """
    side, up = rounding
    stops = (*(added(last, 1 + up) for last in lasts), added(size, up))
    start, stop = Operation("max", (first, 0)), Operation("min", stops)
    start, stop = (Operation("floor", (end, side)) for end in (start, stop))
    return normal(start, facts), normal(stop, facts)


def _rows(relation: Relation) -> _Ends | None:
    """The first and the last key of a query, were the segments endless.

    The end of the segment itself where rows go on for ever.
    """
    if relation.formula is None or len(relation.query.axes) != 1 or len(relation.key.axes) != 1:
        return None
    (query,), (key,) = relation.names
    row = isl.Set(f"[{query}] -> {{ [{key}] : {as_isl(relation.formula)} }}")
    first = _end(row.lexmin_pw_multi_aff, query, 0)
    last = _end(row.lexmax_pw_multi_aff, query, added(relation.key.axes[0].size, -1))
    return None if first is None or last is None else (first, last)


def _end(find: Callable[[], isl.PwMultiAff], query: str, segment: Expression) -> Expression | None:
    """One end of a row as one expression, if there is one; that of the segment if it has none."""
    try:
        found = find()
    except isl.Error:
        return segment
    if found.n_piece() != 1:
        return None
    builder = isl.AstBuild.from_context(isl.Set(f"[{query}] -> {{ : }}"))
    return read(builder.expr_from_pw_aff(found.get_at(0)))


def _proved(
    tiles: isl.Map, relation: Relation, ends: _Ends, facts: isl.Set, there: Expression = 1
) -> bool:
    """Whether the tiles are exactly those between the ends, for every tile of queries there is.

    there: none where this does not hold.
    """
    symbols, ((i,), (j,)) = relation.symbols, relation.tile_names
    low, high = (write(end, "isl") for end in ends)
    given = f"{low} <= {j} < {high} and {write(there, 'isl') if there != 1 else 'true'}"
    between = isl.Map(f"[{', '.join(symbols)}] -> {{ [{i}] -> [{j}] : {given} }}")
    at = facts.find_dim_by_name(isl.dim_type.param, i)
    rows = facts.move_dims(isl.dim_type.set, 0, isl.dim_type.param, at, 1)
    return bool(between.intersect_domain(rows).is_equal(tiles))
