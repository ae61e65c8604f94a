"""Random masks against every pair of tokens, one by one."""

from __future__ import annotations

import islpy as isl
from hypothesis import given, settings
from naive_masks import Case, boxes, classified, grids, lines, pairs

from mmspec.compiler.relations.geometry import Geometry, Lengths
from mmspec.compiler.relations.relation import Relation, relation
from mmspec.compiler.relations.schedule import Schedule, schedule
from mmspec.compiler.relations.tiles import linear_tiles, touched, whole

ROUNDS = settings.default.max_examples if settings.default else 50


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
    assert {pair for pair, inside in runs.items() if inside} == every
    assert set(runs) == some
    rows, columns = (
        boxes(side, tile, case.lengths)
        for side, tile in zip((case.query, case.key), tiles, strict=True)
    )
    for i, j, kind, complete in classified(visible, rows, columns):
        assert ((i, j) in some) == (kind != "none"), (i, j, kind)
        assert (i, j) not in every or kind == "all", (i, j, kind)
        assert not complete or ((i, j) in every) == (kind == "all"), (i, j, kind)
    back = listed(plan.inverse, case.key, case.lengths)
    assert {(i, j) for j, i in back} == some


@settings(max_examples=5 * ROUNDS)
@given(lines())
def test_lines(case: Case) -> None:
    agrees(case)


@settings(max_examples=2 * ROUNDS)
@given(grids())
def test_grids(case: Case) -> None:
    agrees(case)
