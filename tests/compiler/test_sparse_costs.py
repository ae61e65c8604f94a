"""The cost model of sparse attention on a CPU: choices at sizes that were measured; its sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_case import installed
from torch import Tensor

from mmspec.compiler.relations.meaning.geometry import Geometry, grid
from mmspec.compiler.runtime import sparse_plan
from mmspec.compiler.runtime.sparse_calls import ALL, Call, Plan


def plan_of(name: str, length: int, heads: int, width: int = 64, rate: float = 1.0) -> Plan:
    plan = sparse_plan.chosen(name, (length,), (heads, length, length, width), rate)
    assert isinstance(plan, Plan)
    return plan


MEASURED = (
    # reach of a causal window, length, heads, width, sparse beside dense SDPA with a mask: CPU
    # time in float32, forward and forward + backward, on an EPYC (Zen 4) and on a Xeon (2.3 GHz)
    (8, 100, 8, 64, 1.39, None),
    (128, 128, 8, 64, 1.33, None),
    (64, 256, 8, 64, 0.86, None),
    (256, 512, 8, 64, 0.77, None),
    (64, 512, 8, 64, 0.47, None),
    (256, 1024, 8, 64, 0.35, None),
    (8, 100, 2, 64, 2.84, None),
    (128, 128, 2, 64, 2.10, None),
    (64, 256, 2, 64, 1.18, None),
    (128, 256, 2, 64, 1.33, None),
    (64, 512, 2, 64, 0.57, None),
    (256, 512, 2, 64, 0.81, None),
    (256, 1024, 2, 64, 0.41, None),
    (64, 256, 1, 64, 1.84, 1.66),
    (64, 256, 2, 64, 1.33, 1.32),
    (128, 512, 1, 64, 0.83, 0.97),
    (128, 512, 8, 64, 0.60, 0.64),
    (256, 1024, 1, 64, 0.53, 0.58),
    (256, 1024, 8, 64, 0.41, 0.49),
    (64, 256, 1, 128, 1.36, 1.38),
    (128, 512, 8, 128, 0.49, 0.72),
    (256, 1024, 8, 128, 0.41, 0.53),
)
IMAGES = (
    # mask of an image, rows, columns, heads, width, the two ratios on the Xeon
    ("window2d(radius=8)", 16, 16, 8, 64, 1.74, 2.19),
    ("window2d(radius=8)", 32, 16, 8, 64, 1.40, 1.37),
    ("window2d(radius=8)", 32, 32, 1, 64, 1.06, 1.03),
    ("shifted_window(size=8, shift=4)", 16, 16, 8, 64, 1.07, 1.28),
    ("shifted_window(size=8, shift=4)", 16, 16, 1, 128, 2.30, 1.88),
    ("shifted_window(size=8, shift=4)", 32, 16, 8, 64, 0.50, 0.55),
    ("shifted_window(size=8, shift=4)", 32, 32, 8, 64, 0.48, 0.26),
    ("shifted_window(size=8, shift=4)", 32, 32, 1, 128, 0.33, 0.33),
)


def check(dense: bool, *ratios: float | None) -> None:
    """Never sparse where that was slower; sparse where it takes at most six tenths."""
    known = [ratio for ratio in ratios if ratio is not None]
    assert dense or max(known) < 1
    assert not dense or max(known) > 0.6


@pytest.mark.parametrize(
    ("reach", "length", "heads", "width", "forward", "training"), MEASURED, ids=str
)
def test_windows_as_measured(
    reach: int, length: int, heads: int, width: int, forward: float, training: float | None
) -> None:
    name = installed(f"window(before={reach - 1})")
    check(plan_of(name, length, heads, width).dense, forward, training)


@pytest.mark.parametrize(
    ("text", "rows", "columns", "heads", "width", "forward", "training"), IMAGES, ids=str
)
def test_images_as_measured(
    text: str, rows: int, columns: int, heads: int, width: int, forward: float, training: float
) -> None:
    name = installed(text, grid("h_x", columns))
    check(plan_of(name, rows * columns, heads, width).dense, forward, training)


@pytest.mark.parametrize("length", [256, 1024, 8192])
def test_what_all_see_is_dense_however_long(length: int) -> None:
    assert plan_of(installed("full"), length, 8).dense


def test_more_work_never_makes_dense_the_choice() -> None:
    """Costs of calls weigh less the longer a sequence and the more heads there are."""
    name = installed("window(before=99)")
    for heads in (1, 2, 8, 32):
        chosen = [plan_of(name, length, heads).dense for length in (128, 256, 512, 1024, 4096)]
        assert chosen == sorted(chosen, reverse=True) and not chosen[-1]
    for length in (128, 256, 512, 1024):
        chosen = [plan_of(name, length, heads).dense for heads in (1, 2, 8, 32)]
        assert chosen == sorted(chosen, reverse=True)


def test_a_cheaper_dense_call_is_chosen_more_often() -> None:
    name = installed("window(before=99)")
    for length in (256, 384, 512, 1024):
        chosen = [plan_of(name, length, 4, rate=rate).dense for rate in (1.0, 0.8, 0.4, 0.01)]
        assert chosen == sorted(chosen) and chosen[-1]


sizes = st.integers(1, 40).map(lambda size: 16 * size)


@given(sizes, sizes, st.integers(1, 16), st.integers(1, 16), st.booleans())
def test_cost_grows_with_all_that_is_computed(
    rows: int, keys: int, heads: int, count: int, masked: bool
) -> None:
    call = Call(0, rows, ((0, keys, 0 if masked else ALL),), count=count, shift=rows)
    cost = call.cost(heads, 64)
    wider = Call(0, rows, ((0, keys + 16, call.parts[0][2]),), count=count, shift=rows)
    assert wider.cost(heads, 64) > cost
    assert call.cost(heads + 1, 64) > cost and call.cost(heads, 80) > cost
    assert Call(0, rows, call.parts, count=count + 1, shift=rows).cost(heads, 64) > cost
    assert Call(0, rows, ((0, keys, 0),), count=count).cost(heads, 64) >= cost
    apart = Call(0, rows, ((0, keys, ALL), (keys + 16, keys + 32, ALL)))
    side_by_side = Call(0, rows, ((0, keys + 16, ALL),))
    assert apart.cost(heads, 64) > side_by_side.cost(heads, 64)


def test_wider_windows_cost_more() -> None:
    costs = []
    for reach in (64, 128, 256, 512, 1024):
        name = installed(f"window(before={reach - 1})")
        costs.append(plan_of(name, 4096, 8).cost(8, 64))
    assert costs == sorted(costs) and costs[-1] > 2 * costs[0]


def computed(plan: Plan, keys: int) -> tuple[Tensor, int]:
    """How often each pair is computed and not hidden, [q, k], and how many pairs are computed."""
    orders = [
        torch.arange(size) if order is None else order
        for size, order in zip((plan.queries, keys), plan.orders, strict=True)
    ]
    shown_qk = torch.zeros(plan.queries, keys, dtype=torch.int64)
    pairs = 0
    for call in plan.calls:
        mask_qk = plan.mask(call, torch.float32)
        seen_qk = torch.ones(call.rows, call.keys, dtype=torch.int64)
        if mask_qk is not None:
            seen_qk = (mask_qk == 0).long()
        for block in range(call.count):
            first = call.start + block * call.rows
            q = orders[0][first : first + call.rows]
            parts = [range(a + block * call.shift, b + block * call.shift) for a, b in call.spans]
            k = orders[1][[place for part in parts for place in part]]
            shown_qk[q[:, None], k] += seen_qk
            pairs += call.rows * len(k)
    return shown_qk, pairs


CASES = (
    ("window(before=37, after=5)", None, 307, lambda q, k: (q - k <= 37) & (k - q <= 5)),
    (
        "dilated(step=3, reach=60)",
        None,
        241,
        lambda q, k: ((q - k) % 3 == 0) & ((q - k).abs() < 61),
    ),
    (
        "global(count=2) | window(before=30, after=30)",
        None,
        331,
        lambda q, k: (q < 2) | (k < 2) | ((q - k).abs() <= 30),
    ),
    ("block(size=24)", None, 211, lambda q, k: q // 24 == k // 24),
    (
        "window2d(radius=3)",
        grid("h_x", 22),
        22 * 19,
        lambda q, k: ((q // 22 - k // 22).abs() <= 3) & ((q % 22 - k % 22).abs() <= 3),
    ),
)


@pytest.mark.parametrize(("text", "geometry", "length", "sees"), CASES, ids=lambda x: str(x)[:20])
def test_a_plan_computes_each_visible_pair_once_and_counts_its_pairs(
    text: str, geometry: Geometry | None, length: int, sees: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_plan, "_MARGIN", 1e9)
    plan = plan_of(installed(text, geometry), length, 8)
    expected = sees(torch.arange(length)[:, None], torch.arange(length)).long()
    shown_qk, pairs = computed(plan, length)
    assert not plan.dense
    assert torch.equal(shown_qk, expected)
    assert plan.pairs == pairs
    assert int(expected.sum()) <= pairs < length**2


def test_gradients_of_a_band_fit_the_cache() -> None:
    """Keys of all blocks of one call together, since each has a gradient of its own."""
    for reach in (40, 200, 600):
        plan = plan_of(installed(f"window(before={reach}, after={reach})"), 4096, 8)
        assert all(call.count == 1 or call.count * call.keys <= 2048 for call in plan.calls)
        assert reach > 200 or any(call.count > 1 for call in plan.calls)


def test_halves_of_tiles_are_one_band() -> None:
    """Blocks of 32 queries in tiles of 64 look alike wherever they stand: few calls for 128."""
    name = installed("window(before=128, after=128)")
    plan = sparse_plan._sparse_plan(name, (4096,), 4096, 32)
    assert sum(call.count for call in plan.calls) == 128
    assert len(plan.calls) <= 128 / 4
