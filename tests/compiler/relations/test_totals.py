"""Tiles of all queries together: those of each tile of queries one by one, and bounded work."""

from __future__ import annotations

import pytest

from mmspec.compiler.relations.loops import totals
from mmspec.compiler.relations.loops.schedule import Schedule, schedule
from mmspec.compiler.relations.loops.tiles import Tile
from mmspec.compiler.relations.loops.totals import TooManyRunsError, visited
from mmspec.compiler.relations.meaning.geometry import Geometry, grid, line, volume
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import parse

MOST = 2**31 - 1
LINES = (
    "causal",
    "full",
    "window(before=1000, after=64)",
    "window(before=77) | global(100)",
    "dilated(step=3, reach=1000)",
    "causal & strided(step=100)",
    "block(size=100) | block(size=77)",
    "shifted_window(size=100, shift=33)",
    "causal | prefix(1000)",
    "~window(before=100) & causal",
    "causal & block(96) | global(3)",
    "none",
)
GRIDS: tuple[tuple[str, Geometry, int | Tile], ...] = (
    ("window2d(3)", grid(40, 56), (8, 8)),
    ("axial(row)", grid(33, 17), (4, 4)),
    ("window3d(2)", volume("frames", 9, 12), (4, 4, 4)),
    ("frame", volume("frames", 5, 7), (1, 8, 8)),
    ("window2d(2) | global(5)", volume("frames", 6, 6), (2, 3, 6)),
)


def loops(mask: str, query: Geometry, key: Geometry, tile: int | Tile = 64) -> Schedule:
    return schedule(relation(parse(mask), query, key), tile, tile)


def one_by_one(found: Schedule, rows: int, lengths: dict[str, int]) -> tuple[int, int]:
    runs = [run for index in range(rows) for run in found.runs(index, lengths)]
    whole = sum(stop - start for start, stop, inside in runs if inside)
    return sum(stop - start for start, stop, _ in runs), whole


@pytest.mark.parametrize("mask", LINES)
def test_lines(mask: str) -> None:
    found = loops(mask, line("n"), line("n"))
    for n in (0, 1, 63, 64, 65, 5000, 9001):
        assert visited(found, {"n": n}) == one_by_one(found, -(-n // 64), {"n": n}), n


@pytest.mark.parametrize("mask", ["global(70)", "prefix(100)", "~prefix(3)"])
def test_two_segments(mask: str) -> None:
    found = loops(mask, line("n"), line("m"))
    for n, m in ((700, 90), (90, 700), (64, 1), (0, 5)):
        lengths = {"n": n, "m": m}
        assert visited(found, lengths) == one_by_one(found, -(-n // 64), lengths), lengths


@pytest.mark.parametrize(("mask", "geometry", "tile"), GRIDS)
def test_grids(mask: str, geometry: Geometry, tile: int | Tile) -> None:
    found = loops(mask, geometry, geometry, tile)
    for frames in (1, 2, 13) if geometry.symbols else (0,):
        lengths = {"frames": frames} if geometry.symbols else {}
        sides = zip(geometry.sizes(lengths), found.query_tile, strict=True)
        rows = 1
        for size, side in sides:
            rows *= -(-size // side)
        assert visited(found, lengths) == one_by_one(found, rows, lengths), frames


@pytest.mark.parametrize(
    "mask",
    [
        "causal",
        "window(before=1000000000, after=64) | global(77)",
        "dilated(step=3, reach=1000000007)",
        "block(size=1000000007)",
        "shifted_window(size=1000, shift=333)",
        "causal | prefix(1000000000)",
    ],
)
def test_work_does_not_grow_with_the_length(mask: str) -> None:
    """Of 33 million rows of tiles a million evaluations at the most are made."""
    touched, inside = visited(loops(mask, line("n"), line("n")), {"n": MOST})
    assert 0 <= inside < touched <= (2**25) ** 2


def test_a_window_at_any_length() -> None:
    """Row i of a causal window of 512 touches the tiles i - 8 to i."""
    rows = 2**25
    touched, _ = visited(loops("window(before=511)", line("n"), line("n")), {"n": MOST})
    assert touched == 9 * rows - sum(range(1, 9))


def test_what_cannot_be_counted_soon_is_told() -> None:
    found = loops("causal & strided(step=100)", line("n"), line("n"))
    with pytest.raises(TooManyRunsError):
        visited(found, {"n": MOST})


def test_periods_are_those_of_what_is_divided() -> None:
    """Tiles of 64 and blocks of 100 tokens fall together every 25 tiles."""
    assert totals._period(loops("block(100)", line("n"), line("n")).body, "i", 10**6) == 25
    assert totals._period(loops("block(100)", line("n"), line("n")).body, "i", 24) == 1
