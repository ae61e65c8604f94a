"""Random masks against every pair of tokens, one by one."""

from __future__ import annotations

from types import SimpleNamespace

import islpy as isl
import pytest
from hypothesis import example, given, settings
from large import is_deep
from naive_masks import Case, boxes, classified, grids, lines, pairs

from mmspec.compiler.relations.loops.schedule import Schedule, schedule
from mmspec.compiler.relations.loops.tiles import linear_tiles, touched, whole
from mmspec.compiler.relations.meaning.geometry import Axis, Geometry, Lengths, grid, line, volume
from mmspec.compiler.relations.meaning.relation import Relation, relation
from mmspec.expressions.mask import parse

ROUNDS = settings.default.max_examples if settings.default and is_deep() else 12
"""Each takes a third of a second, some whole ones; a condition that is lost shows in fewer."""


def points(found: isl.Map, relation: Relation, lengths: Lengths) -> set[tuple[int, ...]]:
    """A map's pairs at these lengths."""
    for name in relation.symbols:
        place = found.find_dim_by_name(isl.dim_type.param, name)
        if place >= 0:
            found = found.fix_val(isl.dim_type.param, place, isl.Val(lengths[name]))
    collected: set[tuple[int, ...]] = set()
    flat = found.project_out_all_params().wrap().flatten()
    sizes = range(flat.dim(isl.dim_type.set))

    def collect(point: isl.Point) -> None:
        values = (point.get_coordinate_val(isl.dim_type.set, at) for at in sizes)
        collected.add(tuple(value.to_python() for value in values))

    flat.foreach_point(collect)
    return collected


def by_index(
    found: set[tuple[int, ...]], counts: tuple[tuple[int, ...], tuple[int, ...]]
) -> set[tuple[int, int]]:
    """Pairs of places as pairs of indices, row by row."""
    split = len(counts[0])

    def index(place: tuple[int, ...], sizes: tuple[int, ...]) -> int:
        total = 0
        for at, size in zip(place, sizes, strict=True):
            assert 0 <= at < size, (place, sizes)
            total = total * size + at
        return total

    return {(index(p[:split], counts[0]), index(p[split:], counts[1])) for p in found}


def listed(plan: Schedule, query: Geometry, lengths: Lengths) -> dict[tuple[int, int], bool]:
    """The tiles of all runs, by whether they are whole; runs must be in order and apart."""
    found: dict[tuple[int, int], bool] = {}
    counts = linear_tiles(query, plan.query_tile, lengths)
    total = 1
    for count in counts:
        total *= count
    for i in range(total):
        last: tuple[int, bool] | None = None
        for start, stop, inside in plan.runs(i, lengths):
            assert start < stop
            assert last is None or start > last[0] or (start == last[0] and inside != last[1])
            found |= {(i, j): inside for j in range(start, stop)}
            last = stop, inside
    return found


class Cut(int):
    """A number as a kernel holds it: division cuts off, and so does its rest."""

    def __add__(self, other: int) -> Cut:
        return Cut(int(self) + int(other))

    def __sub__(self, other: int) -> Cut:
        return Cut(int(self) - int(other))

    def __mul__(self, other: int) -> Cut:
        return Cut(int(self) * int(other))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: int) -> Cut:
        return Cut(int(other) - int(self))

    def __neg__(self) -> Cut:
        return Cut(-int(self))

    def __floordiv__(self, other: int) -> Cut:
        found = abs(int(self)) // int(other)
        return Cut(found if self >= 0 else -found)

    def __mod__(self, other: int) -> Cut:
        return self - self // other * other


def visited(plan: Schedule, index: int, lengths: Lengths) -> dict[int, bool]:
    """The tiles that the text for a kernel visits, in a machine whose division cuts off."""
    relation = plan.relation
    counts = linear_tiles(relation.query, plan.query_tile, lengths)
    widths = linear_tiles(relation.key, plan.key_tile, lengths)
    names: dict[str, object] = {name: Cut(lengths[name]) for name in relation.symbols}
    for name, count in reversed(list(zip(relation.tile_names[0], counts, strict=True))):
        index, place = divmod(index, count)
        names[name] = Cut(place)
    found: dict[int, bool] = {}

    def visit(inside: bool, *places: int) -> None:
        total = 0
        for place, count in zip(places, widths, strict=True):
            total = total * count + int(place)
        assert total not in found
        found[total] = inside

    places = ", ".join(relation.tile_names[1])
    text = plan.triton(f"visit(True, {places})", f"visit(False, {places})")
    exec(text, {"tl": SimpleNamespace(range=range), "visit": visit} | names)
    return found


def agrees(case: Case) -> None:
    """Everything that a relation says, at the lengths of a case."""
    found = relation(case.mask, case.query, case.key)
    visible = pairs(case.mask, case.query, case.key, case.lengths)
    rows, columns = (side.tokens(case.lengths) for side in (case.query, case.key))
    sizes = case.query.sizes(case.lengths), case.key.sizes(case.lengths)
    assert by_index(points(found.visible, found, case.lengths), sizes) == visible
    seen = {
        (q, k) for q in range(rows) for k in range(columns) if found.contains(q, k, case.lengths)
    }
    assert seen == visible
    assert found.count().at(case.lengths) == len(visible)
    empty = set(range(rows)) - {q for q, _ in visible}
    assert found.rows_without_key().count().at(case.lengths) == len(empty)
    assert found.inverse().count().at(case.lengths) == len(visible)
    tiles_agree(found, case, visible)


def tiles_agree(found: Relation, case: Case, visible: set[tuple[int, int]]) -> None:
    """Tiles and runs."""
    tiles = case.query_tile, case.key_tile
    counts = (
        linear_tiles(case.query, tiles[0], case.lengths),
        linear_tiles(case.key, tiles[1], case.lengths),
    )
    some = by_index(points(touched(found, *tiles), found, case.lengths), counts)
    every = by_index(points(whole(found, *tiles), found, case.lengths), counts)
    plan = schedule(found, *tiles)
    runs = listed(plan, case.query, case.lengths)
    right(plan, runs, some, every)
    rows, columns = (
        boxes(side, tile, case.lengths)
        for side, tile in zip((case.query, case.key), tiles, strict=True)
    )
    for i in range(len(rows[0])):
        assert visited(plan, i, case.lengths) == {j: w for (at, j), w in runs.items() if at == i}
    for i, j, kind, complete in classified(visible, rows, columns):
        assert ((i, j) in some) == (kind != "none"), (i, j, kind)
        assert (i, j) not in every or kind == "all", (i, j, kind)
        assert not complete or ((i, j) in every) == (kind == "all"), (i, j, kind)
    back = listed(plan.inverse, case.key, case.lengths)
    seen_from = {(i, j) for j, i in back}
    assert seen_from == some if plan.inverse.exact else seen_from >= some
    seen = back_to_front(rows, columns, visible)
    assert all(seen[i, j] for (j, i), inside in back.items() if inside)


def right(
    plan: Schedule,
    runs: dict[tuple[int, int], bool],
    some: set[tuple[int, int]],
    every: set[tuple[int, int]],
) -> None:
    """No tile is left out, and none is called whole that is not; exactly those where it says so."""
    inside = {pair for pair, whole in runs.items() if whole}
    assert inside == every if plan.exact else inside <= every
    assert set(runs) == some if plan.exact else set(runs) >= some


def back_to_front(
    rows: tuple[list[set[int]], int],
    columns: tuple[list[set[int]], int],
    visible: set[tuple[int, int]],
) -> dict[tuple[int, int], bool]:
    """Tiles whose queries all exist and see all keys there are."""
    return {
        (i, j): len(row) == rows[1] and all((q, k) in visible for q in row for k in column)
        for i, row in enumerate(rows[0])
        for j, column in enumerate(columns[0])
    }


LINE = line("n")


@pytest.mark.slow
@settings(max_examples=2 * ROUNDS)
@given(lines())
@example(  # parts that do not begin where tokens do
    Case(parse("shifted_window(size=5, shift=2)"), LINE, LINE, {"n": 17, "m": 0}, (3,), (4,))
)
def test_lines(case: Case) -> None:
    agrees(case)


ONE, IMAGE, VIDEO = grid("h", 1), grid("h", "w"), volume("f", "h", "w")
FIVE = Geometry((Axis("row", "h"), Axis("column", 5)))
"""A grid of five columns."""


@pytest.mark.slow
@settings(max_examples=ROUNDS)
@given(grids())
@example(  # isl cannot print loops for whole tiles and border apart, but for all that are touched
    Case(parse("block(size=7)"), FIVE, FIVE, {"h": 3, "w": 0, "n": 0, "f": 0}, (1, 4), (2, 1))
)
@example(  # here it loses tiles of those that it prints
    Case(parse("~block(size=6)"), FIVE, FIVE, {"h": 2, "w": 0, "n": 0, "f": 0}, (1, 3), (2, 1))
)
@example(  # isl, left to itself, reads through a null pointer
    Case(
        parse("~shifted_window(size=5, shift=9) | global(3) & shifted_window(size=2, shift=6)"),
        ONE,
        ONE,
        {"h": 7, "w": 0, "n": 0, "f": 0},
        (2, 4),
        (1, 1),
    )
)
@example(  # its code generator, left to itself, works on this for minutes
    Case(
        parse("~window2d(radius=3) & ~shifted_window(size=5, shift=3)"),
        VIDEO,
        VIDEO,
        {"h": 6, "w": 5, "n": 0, "f": 2},
        (3, 4, 3),
        (1, 4, 2),
    )
)
@example(  # on this it calls itself until the stack ends
    Case(
        parse("shifted_window(size=7, shift=5) | axial(axis=row)"),
        IMAGE,
        IMAGE,
        {"h": 6, "w": 5, "n": 0, "f": 0},
        (4, 2),
        (2, 3),
    )
)
def test_grids(case: Case) -> None:
    agrees(case)
