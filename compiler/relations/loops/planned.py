"""The loops of a relation: exact ones where isl finds them soon, else ones that visit more.

Some sets isl's code generator works on for minutes, or calls itself for until the stack ends, or
gives up on ("cannot handle void expression"), or bounds loops of by what only they know, or loses
a tile of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.loops.bounds import bounded_runs
from mmspec.compiler.relations.loops.faithful import proved
from mmspec.compiler.relations.loops.loops import Block, build
from mmspec.compiler.relations.loops.tiles import Tile, about, border, touched, whole
from mmspec.compiler.relations.meaning.relation import Relation

__all__ = ["planned"]

_EXACT: Final = 1_200_000
"""Operations of isl for exact loops, and for simple ones; two million take about a second."""

_OPERATIONS: Final = 250_000
"""Those for each set of tiles, and for loops over such a set that has become border."""

_Found = TypeVar("_Found")


def planned(relation: Relation, tiles: tuple[Tile, Tile], context: isl.Set) -> tuple[Block, bool]:
    """Loops proved to visit all tiles they must, and whether they visit no other and tell all
    whole ones apart.

    context: what holds whenever a tile of queries is worked on.
    """
    names = relation.tile_names
    parts = _soon(lambda: {True: whole(relation, *tiles), False: border(relation, *tiles)})
    if parts is not None:
        loops = _soon(lambda: bounded_runs(relation, tiles, parts, context))
        loops = proved(parts, context, names, _EXACT) if loops is None else loops
        if loops is not None:
            return loops, True
    every = touched(relation.everything(), *tiles)
    nothing = every.subtract(every)
    for find, operations in ((touched, _OPERATIONS), (about, _EXACT)):  # all under the predicate
        some = _soon(partial(find, relation, *tiles))
        if some is None:
            continue
        loops = proved({True: nothing, False: some}, context, names, operations)
        if loops is not None:
            return loops, False
    return build({True: nothing, False: every}, context, names), False


def _soon(find: Callable[[], _Found]) -> _Found | None:
    """What isl finds, if it finds it soon."""
    try:
        with limited(_OPERATIONS):
            return find()
    except TooHardError:
        return None
