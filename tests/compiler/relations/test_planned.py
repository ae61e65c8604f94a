"""Masks that isl works on for long, or dies of: their loops come soon, and lose nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from naive_masks import Case, boxes, classified, grids, pairs

from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.loops import planned
from mmspec.compiler.relations.loops import schedule as schedules
from mmspec.compiler.relations.loops.faithful import proved
from mmspec.compiler.relations.loops.schedule import Schedule, schedule
from mmspec.compiler.relations.loops.tiles import about
from mmspec.compiler.relations.meaning.geometry import grid, line, volume
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import parse

VIDEO = volume("f", "h", "w")
LENGTHS = {"f": 3, "h": 7, "w": 5}
HARD = Case(
    parse("~window2d(radius=3) & ~shifted_window(size=5, shift=3)"),
    VIDEO, VIDEO, LENGTHS, (3, 4, 3), (1, 4, 2),
)  # fmt: skip
DEADLY = {
    "null": ("~shifted_window(5, 0) | global(3) & shifted_window(2, 0)", (1, (2, 4), (1, 1))),
    "deep": ("shifted_window(7, 5) | axial(row)", ("w", (4, 2), (2, 3))),
}
"""What isl, left to itself, reads through a null pointer for, or calls itself for without end:
columns, tiles of queries and keys.
"""

SCHEDULED = """
from mmspec.compiler.relations.meaning.geometry import grid
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.compiler.relations.loops.schedule import schedule
from mmspec.expressions.mask import parse

mask, (columns, *tiles) = {given!r}
image = grid("h", columns)
print(schedule(relation(parse(mask), image, image), *tiles).exact)
"""


def planned_for(case: Case) -> Schedule:
    return schedule(relation(case.mask, case.query, case.key), case.query_tile, case.key_tile)


def loses_nothing(plan: Schedule, case: Case) -> None:
    """Every tile with a visible pair is visited once, and a whole one has no hidden pair."""
    visible = pairs(case.mask, case.query, case.key, case.lengths)
    rows = boxes(case.query, case.query_tile, case.lengths)
    columns = boxes(case.key, case.key_tile, case.lengths)
    found: dict[tuple[int, int], bool] = {}
    for i in range(len(rows[0])):
        tiles = [(i, j, whole) for a, b, whole in plan.runs(i, case.lengths) for j in range(a, b)]
        assert len({j for _, j, _ in tiles}) == len(tiles)
        found |= {(i, j): whole for i, j, whole in tiles}
    for i, j, kind, _ in classified(visible, rows, columns):
        assert kind == "none" or (i, j) in found
        assert kind == "all" or not found.get((i, j))


@pytest.mark.parametrize(("death", "exact"), [("null", True), ("deep", False)])
def test_a_set_that_isl_died_of_has_loops(death: str, exact: bool) -> None:
    code = SCHEDULED.format(given=DEADLY[death])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{exact}\n"), done.stderr


def test_loops_that_took_minutes_take_seconds_and_lose_nothing() -> None:
    start = time.process_time()
    plan = planned_for(HARD)
    assert plan.inverse.arguments
    assert time.process_time() - start < 10
    loses_nothing(plan, HARD)


@pytest.mark.parametrize("exact", [0, 1])
@pytest.mark.parametrize("limit", [100, 1_000, 10_000, 30_000, 100_000])
def test_whatever_isl_may_do_nothing_is_lost(
    limit: int, exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "_OPERATIONS", limit)
    monkeypatch.setattr(planned, "_EXACT", 1 + exact * limit)
    image = grid("h", 11)
    mask = parse("window2d(radius=1) | shifted_window(size=3, shift=2)")
    case = Case(mask, image, image, {"h": 7}, (2, 3), (3, 2))
    plan = planned_for(case)
    loses_nothing(plan, case)


def test_what_is_too_hard_visits_few_tiles_more() -> None:
    """Of a window and boxes, those near a tile: here at most 4 x 4 x 4 of 3 x 10 x 10."""
    mask = parse("window3d(radius=1) | shifted_window(size=7, shift=9)")
    plan = planned_for(Case(mask, VIDEO, VIDEO, {}, (1, 2, 4), (4, 4, 3)))
    assert not plan.exact
    counts = [
        sum(stop - start for start, stop, _ in plan.runs(i, {"f": 12, "h": 40, "w": 30}))
        for i in range(5 * 20 * 8, 6 * 20 * 8)
    ]
    assert all(0 < count <= 4**3 for count in counts), max(counts)


@given(grids())
def test_tiles_about_those_that_are_touched_hold_them(case: Case) -> None:
    found, tiles = relation(case.mask, case.query, case.key), (case.query_tile, case.key_tile)
    some = about(found, *tiles)
    meant = {True: some.subtract(some), False: some}
    context = schedules._context(found, tiles[0])
    loops = proved(meant, context, found.tile_names, 1_000_000)
    assert loops is not None
    loses_nothing(Schedule(found, *tiles, loops), case)


def test_within_the_limit_of_another_that_one_is_told() -> None:
    """A schedule is right, or whoever set the limit learns that it was too small."""
    image = grid("h", 11)
    case = Case(parse("window2d(radius=1)"), image, image, {"h": 7}, (2, 3), (3, 2))
    found, told = relation(case.mask, image, image), 0
    for limit in (10, 100, 1_000, 3_000, 10_000, 30_000, 10_000_000):
        try:
            with limited(limit):
                plan = schedule(found, case.query_tile, case.key_tile)
        except TooHardError:
            told += 1
            continue
        assert plan.exact
        loses_nothing(plan, case)
    assert 3 <= told < 7


@pytest.mark.parametrize(
    "mask",
    [
        "strided(3) & ~block(1000000007)",
        "dilated(step=3, reach=1000000) & block(4096) & ~shifted_window(size=777, shift=3)",
    ],
)
def test_numbers_that_grow_long_in_isl_have_loops_soon(mask: str) -> None:
    """Half a second; with the operations of other masks it was half a minute."""
    start = time.process_time()
    case = Case(parse(mask), line("n"), line("n"), {"n": 150}, (64,), (16,))
    plan = planned_for(case)
    assert time.process_time() - start < 5
    loses_nothing(plan, case)
