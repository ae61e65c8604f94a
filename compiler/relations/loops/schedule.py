"""The loops over key tiles that a mask leaves to a tile of queries, for every length at once.

schedule(relation, query_tile, key_tile) -> Schedule: prints itself as Python and as Triton, and
lists the runs of one tile. `schedule.inverse` loops over the queries of a tile of keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.loops.loops import Block, If, Loop, Run
from mmspec.compiler.relations.loops.planned import planned
from mmspec.compiler.relations.loops.tiles import Tile, linear_tiles, sides
from mmspec.compiler.relations.meaning.geometry import Axis, Geometry, Lengths
from mmspec.compiler.relations.meaning.relation import Relation, relation
from mmspec.compiler.relations.syntax import (
    Dialect,
    Expression,
    Operation,
    added,
    multiplied,
    write,
)
from mmspec.expressions.mask import Mask

__all__ = ["Schedule", "schedule", "schedule_of"]

_INDENT: Final = "    "
_BUILTINS: Final = {"min": min, "max": max, "range": range}


@dataclass(frozen=True, eq=False)
class Schedule:
    """For a tile of queries, the runs of tiles of keys, in order.

    Whole runs need no predicate: each of their keys exists, and each query of the tile sees it
    (queries past the end of their segment as if it went on). The others need `predicate`.
    """

    relation: Relation
    query_tile: Tile
    key_tile: Tile
    body: Block
    exact: bool = True
    """Whether no other tiles are visited, and all whole ones are told apart."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names in its text: indices of the query tile, then the lengths."""
        return (*self.relation.tile_names[0], *self.relation.symbols)

    @cached_property
    def inverse(self) -> Schedule:
        """For a tile of keys, the runs of tiles of queries that see it."""
        return schedule(self.relation.inverse(), self.key_tile, self.query_tile)

    def predicate(self) -> str:
        """Source: whether `q` sees `k` in a run that is not whole, the end of the runs included."""
        names = zip(self.relation.names[1], self.relation.key.axes, strict=True)
        ends = " & ".join(f"({name} < {axis.size})" for name, axis in names)
        seen = self.relation.predicate()
        return ends if seen == "True" else f"({seen}) & {ends}"

    def python(self) -> str:
        """A generator of (start, stop, whole) in the order of the tiles, row by row."""
        lines = [f"def runs({', '.join(self.arguments)}):"]
        lines += [_INDENT + line for line in self._python(self.body)] or [_INDENT + "return"]
        if not self.body:
            lines.append(_INDENT + "yield")
        return "\n".join(lines) + "\n"

    def triton(self, whole: str, border: str) -> str:
        """Loops over tiles of keys, each around one of two texts; a tile's index is `j`.

        It is `i` in the inverse; where keys have several coordinates, `j_row`, `j_column` ...
        """
        bodies = {True: whole.splitlines(), False: border.splitlines()}
        return "\n".join(self._triton(self.body, bodies)) + "\n"

    def runs(self, index: int, lengths: Lengths) -> list[tuple[int, int, bool]]:
        """The runs of a tile of queries, by its index among all, row by row: (start, stop, whole).

        They are in order and apart; two that touch differ in `whole`.
        """
        counts = linear_tiles(self.relation.query, self.query_tile, lengths)
        places: list[int] = []
        for count in reversed(counts[1:]):
            index, place = divmod(index, count)
            places.insert(0, place)
        sizes = (lengths[name] for name in self.relation.symbols)
        return list(_joined(self._compiled(index, *places, *sizes)))

    @cached_property
    def _compiled(self) -> Callable[..., Iterator[tuple[int, int, bool]]]:
        names: dict[str, Callable[..., Iterator[tuple[int, int, bool]]]] = {}
        exec(compile(self.python(), "<schedule>", "exec"), {"__builtins__": _BUILTINS}, names)
        return names["runs"]

    def _python(self, block: Block) -> Iterator[str]:
        for node in block:
            if isinstance(node, Run):
                yield from self._yield(node)
            else:
                yield _head(node, "", "python", "range")
                yield from (_INDENT + line for line in self._python(node.body))
                if isinstance(node, If) and node.otherwise:
                    yield "else:"
                    yield from (_INDENT + line for line in self._python(node.otherwise))

    def _yield(self, run: Run) -> Iterator[str]:
        """A run among all tiles, whose index counts row by row."""
        if run.step != 1:
            yield _head(run, self._last, "python", "range")
            once = replace(run, start=self._last, stop=added(self._last, 1), step=1)
            yield from (_INDENT + line for line in self._yield(once))
            return
        ends = (write(self._linear((*run.at, end))) for end in (run.start, run.stop))
        yield f"yield {', '.join(ends)}, {run.whole}"

    @property
    def _last(self) -> str:
        """The name of the last coordinate of a tile of keys."""
        return self.relation.tile_names[1][-1]

    def _linear(self, places: tuple[Expression, ...]) -> Expression:
        """The index among all tiles of one by its coordinates."""
        index = places[0]
        sizes = zip(self.relation.key.axes[1:], self.key_tile[1:], strict=True)
        for place, (axis, side) in zip(places[1:], sizes, strict=True):
            index = _sum(multiplied(index, _tiles(axis, side)), place)
        return index

    def _triton(self, block: Block, bodies: dict[bool, list[str]]) -> Iterator[str]:
        names = self.relation.tile_names[1]
        for node in block:
            if isinstance(node, Run):
                for name, place in zip(names, node.at, strict=False):
                    if name != place:
                        yield f"{name} = {write(place, 'triton')}"
                if (node.start, node.stop) == (self._last, added(self._last, 1)):
                    yield from bodies[node.whole]
                    continue
                named = any(re.search(rf"\b{self._last}\b", x) for x in bodies[node.whole])
                yield _head(node, self._last if named else "_", "triton", "tl.range")
                yield from (_INDENT + line for line in bodies[node.whole])
                continue
            yield _head(node, "", "triton", "range")
            yield from (_INDENT + line for line in self._triton(node.body, bodies))
            if isinstance(node, If) and node.otherwise:
                yield "else:"
                yield from (_INDENT + line for line in self._triton(node.otherwise, bodies))


def schedule(relation: Relation, query_tile: int | Tile, key_tile: int | Tile) -> Schedule:
    """The loops of a relation, in milliseconds whatever the lengths will be."""
    tiles = sides(relation.query, query_tile), sides(relation.key, key_tile)
    return Schedule(relation, *tiles, *planned(relation, tiles, _context(relation, tiles[0])))


@lru_cache(maxsize=1024)
def schedule_of(
    mask: Mask, query: Geometry, key: Geometry, tiles: tuple[int | Tile, int | Tile], turned: bool
) -> Schedule:
    """The loops of a mask in boxes, or in tiles of a line, which tokens of a grid then are.

    turned: those over the queries of a tile of keys.
    """
    found = relation(mask, query, key)
    several = any(len(geometry.axes) > 1 for geometry in (query, key))
    if several and all(isinstance(tile, int) for tile in tiles):
        found = found.flat()
    return schedule(found.inverse(), tiles[1], tiles[0]) if turned else schedule(found, *tiles)


def _context(relation: Relation, tile: Tile) -> isl.Set:
    """What holds whenever a tile of queries is worked on."""
    names = relation.tile_names[0]
    facts = [f"{name} >= 0" for name in relation.symbols]
    for name, side, axis in zip(names, tile, relation.query.axes, strict=True):
        facts.append(f"0 <= {name} and {side} * {name} < {axis.size}")
    return isl.Set(f"[{', '.join((*relation.symbols, *names))}] -> {{ : {' and '.join(facts)} }}")


def _tiles(axis: Axis, side: int) -> Expression:
    """How many tiles an axis has."""
    if isinstance(axis.size, int):
        return -(-axis.size // side)
    return axis.size if side == 1 else Operation("//", (added(axis.size, side - 1), side))


def _sum(left: Expression, right: Expression) -> Expression:
    if isinstance(right, Operation) and right.name == "+" and isinstance(right.of[1], int):
        return added(added(left, right.of[0]), right.of[1])
    return added(left, right)


def _head(node: Run | Loop | If, name: str, dialect: Dialect, function: str) -> str:
    if isinstance(node, If):
        return f"if {write(node.condition, dialect)}:"
    variable = node.variable if isinstance(node, Loop) else name
    ends = [node.start, node.stop] + [node.step] * (node.step != 1)
    return f"for {variable} in {function}({', '.join(write(end, dialect) for end in ends)}):"


def _joined(
    runs: Iterator[tuple[int, int, bool]],
) -> Iterator[tuple[int, int, bool]]:
    """Without empty runs, and equal neighbours as one."""
    last: tuple[int, int, bool] | None = None
    for start, stop, inside in runs:
        if start >= stop:
            continue
        if last is not None and last[1:] == (start, inside):
            last = last[0], stop, inside
            continue
        if last is not None:
            yield last
        last = start, stop, inside
    if last is not None:
        yield last
