"""The loops of a relation: exact ones where isl finds them soon, else ones that visit more.

Some sets isl's code generator works on for minutes, or calls itself for until the stack ends, or
gives up on ("cannot handle void expression"), or bounds loops of by what only they know, or loses
a tile of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Final, TypeVar

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.loops.bounds import bounded_runs
from mmspec.compiler.relations.loops.faithful import proved
from mmspec.compiler.relations.loops.loops import Block, build
from mmspec.compiler.relations.loops.tiles import Tile, about, border, touched, whole
from mmspec.compiler.relations.meaning.formula import divisors
from mmspec.compiler.relations.meaning.relation import Relation

__all__ = ["granted", "planned"]

_EXACT: Final = 300_000
"""Operations of isl for exact loops; a million take about a second."""

_OPERATIONS: Final = 250_000
"""Those for each set of tiles, and for loops over such a set that has become border."""

_LONG: Final = 2**24
_SHARE: Final = 12
"""Where several numbers divide what is counted, and their product is so large, an operation of isl
takes many times as long: its own numbers grow until they fit no word. A part of it is granted."""

_Found = TypeVar("_Found")


def planned(relation: Relation, tiles: tuple[Tile, Tile], context: isl.Set) -> tuple[Block, bool]:
    """Loops proved to visit all tiles they must, and whether they visit no other and tell all
    whole ones apart.

    context: what holds whenever a tile of queries is worked on.
    """
    names = relation.tile_names
    few = granted(_OPERATIONS, relation, tiles)
    parts = _soon(few, lambda: {True: whole(relation, *tiles), False: border(relation, *tiles)})
    if parts is not None:
        loops = _soon(few, lambda: bounded_runs(relation, tiles, parts, context))
        if loops is None:
            loops = proved(parts, context, names, granted(_EXACT, relation, tiles))
        if loops is not None:
            return loops, True
    every = touched(relation.everything(), *tiles)
    nothing = every.subtract(every)
    ways = [(touched, 1), (about, 4)]  # all under the predicate
    if parts is not None and parts[True].is_empty():
        del ways[0]  # the tiles that are touched are those that were tried
    for find, often in ways:
        some = _soon(few, partial(find, relation, *tiles))
        if some is None:
            continue
        loops = proved({True: nothing, False: some}, context, names, often * few)
        if loops is not None:
            return loops, False
    return build({True: nothing, False: every}, context, names), False


def granted(operations: int, relation: Relation, tiles: tuple[Tile, Tile]) -> int:
    """How many operations of isl a mask in tiles is worth, of those for one of small numbers."""
    known = frozenset[int]() if relation.formula is None else divisors(relation.formula)
    long = len(known - {1}) > 1 and prod(known) * max(map(prod, tiles)) > _LONG
    return operations // _SHARE if long else operations


def _soon(operations: int, find: Callable[[], _Found]) -> _Found | None:
    """What isl finds, if it finds it soon."""
    try:
        with limited(operations):
            return find()
    except TooHardError:
        return None
