"""What schedules look like, and what they cost."""

from __future__ import annotations

import time
import tracemalloc
from fractions import Fraction

import pytest

from mmspec.compiler.relations.loops.schedule import Schedule, schedule
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import parse

LINE = line("n")
FRAMES, HOPS = (
    line("n", Clock(Fraction(0), Fraction(40))),
    line("m", Clock(Fraction(0), Fraction(10))),
)


def within(mask: str, query: Geometry = LINE, key: Geometry = LINE) -> Schedule:
    return schedule(relation(parse(mask), query, key), 128, 64)


def test_a_causal_window_of_512_is_three_lines() -> None:
    assert within("window(before=511)").python() == (
        "def runs(i, n):\n"
        "    yield max(2 * i - 8, 0), max(2 * i - 6, 0), False\n"
        "    yield max(2 * i - 6, 0), 2 * i, True\n"
        "    yield 2 * i, min(2 * i + 2, (n + 63) // 64), False\n"
    )


def test_causal_loops_of_a_kernel() -> None:
    plan = within("causal")
    assert plan.triton("visit(j)", "visit(j, mask)") == (
        "for j in tl.range(0, 2 * i):\n"
        "    visit(j)\n"
        "for j in tl.range(2 * i, min(2 * i + 2, (n + 63) // 64)):\n"
        "    visit(j, mask)\n"
    )
    assert plan.predicate() == "(k <= q) & (k < n)"
    assert plan.inverse.predicate() == "(k <= q) & (q < n)"
    assert plan.inverse.arguments == ("j", "n")


@pytest.mark.parametrize(
    ("mask", "runs"),
    [
        ("block(size=256)", 2),
        ("full", 2),
        ("none", 0),
        ("window(before=300, after=200)", 3),
        ("shifted_window(size=64, shift=32)", 1),
        ("block(size=100)", 1),
    ],
)
def test_masks_of_a_segment_are_a_few_runs(mask: str, runs: int) -> None:
    assert len(within(mask).body) == runs


def test_time_between_modalities_is_three_runs() -> None:
    text = within("within(5 s)", FRAMES, HOPS).python()
    assert text.count("yield") == 3


def test_an_image_loops_over_rows_of_boxes() -> None:
    image = grid("h", "w")
    plan = schedule(relation(parse("window2d(radius=1)"), image, image), 8, 8)
    assert plan.triton("", "visit(j_row, j_column)").splitlines()[0] == (
        "for j_row in range(max(0, i_row - 1), min(i_row + 2, (h + 7) // 8)):"
    )
    assert plan.runs(0, {"h": 24, "w": 24}) == [(0, 2, False), (3, 5, False)]


@pytest.mark.parametrize(
    "mask",
    [
        "causal",
        "window(before=4095) | prefix(length=64) & causal",
        "block(size=1000) & causal",
        "dilated(step=3, reach=300) | global(count=16)",
        "strided(step=128) & causal | window(before=127)",
    ],
)
def test_a_million_tokens_cost_milliseconds_and_kilobytes(mask: str) -> None:
    within("window(before=77)")
    tracemalloc.start()
    start = time.process_time()
    plan = within(mask)
    runs = [plan.runs(i, {"n": 2**20}) for i in (0, 4096, 8191)]
    spent = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(runs)
    assert spent < 10, f"{spent * 1e3:.0f} ms"
    assert peak < 1_000_000, f"{peak} bytes"


def test_nothing_is_built_again_for_another_length() -> None:
    plan = within("window(before=511)")
    first = plan._compiled
    assert plan.runs(7, {"n": 1000}) == [(6, 8, False), (8, 14, True), (14, 16, False)]
    assert plan.runs(7, {"n": 10**6}) == [(6, 8, False), (8, 14, True), (14, 16, False)]
    assert plan._compiled is first
