"""Groups of queries for native code: what they show and count, and where they are chosen."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_case import installed
from test_parts_sparse import masks, pattern
from test_sparse_costs import check
from torch import Tensor

from mmspec.compiler.load_pattern import install
from mmspec.compiler.relations.meaning.geometry import Geometry, grid, volume
from mmspec.compiler.runtime import sparse_groups, sparse_plan
from mmspec.compiler.runtime.sparse_groups import GROUP, Groups, groups_of

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from attention_masks import MASKS

_NUMBERS = itertools.count()
VECTOR, BLOCK = 16, 8
"""Queries whose scores are computed together, and whose values are summed together."""


def keys_of(groups: Groups, group: int) -> Iterator[tuple[int, int]]:
    """Places of the keys of a group as native.cpp reads them, each with a bit for each query."""
    first, stop = groups.first_part[group : group + 2].tolist()
    for key, count, table in groups.parts[first:stop].tolist():
        for i in range(count):
            if table < 0:
                yield key + i, (1 << GROUP) - 1
            else:
                bits = int(groups.seen[table + i]) % (1 << GROUP)
                yield key + int(groups.columns[table + i]), bits


def shown(groups: Groups, keys: int) -> Tensor:
    """How often each pair is shown, by tokens: [q, k]."""
    orders = [
        torch.arange(size) if order is None else order.long()
        for size, order in zip((groups.queries, keys), groups.orders, strict=True)
    ]
    found = torch.zeros(groups.queries, keys, dtype=torch.int64)
    places = groups.first_query.tolist()
    for group, (start, stop) in enumerate(itertools.pairwise(places)):
        for key, bits in keys_of(groups, group):
            there = [place for place in range(start, stop) if bits >> (place - start) & 1]
            found[orders[0][there], orders[1][key]] += 1
    return found


def counted(groups: Groups, seen_qk: Tensor) -> tuple[int, int]:
    """Pairs that are computed, and keys that are met: by every vector, block and group."""
    placed = seen_qk if groups.orders[0] is None else seen_qk[groups.orders[0].long()]
    pairs = met = 0
    places = groups.first_query.tolist()
    for start, stop in itertools.pairwise(places):
        met += int(placed[start:stop].any(0).sum())
        for size in (VECTOR, BLOCK):
            for first in range(start, stop, size):
                pairs += size * int(placed[first : min(first + size, stop)].any(0).sum())
    return pairs // 2, met


@given(masks(), st.sampled_from([8, 16, 48, 64, 128]), st.booleans())
def test_groups_show_each_visible_pair_once_and_count_theirs(
    seen_qk: Tensor, tile: int, shuffled: bool
) -> None:
    queries, keys = seen_qk.shape
    groups = groups_of(pattern(seen_qk, tile, shuffled), (), queries)
    assert torch.equal(shown(groups, keys), seen_qk.long())
    assert (groups.pairs, groups.met) == counted(groups, seen_qk)
    sizes = groups.first_query.diff()
    assert groups.first_query[[0, -1]].tolist() == [0, queries]
    assert 0 < int(sizes.min()) and int(sizes.max()) <= GROUP
    assert len(groups.first_part) == len(groups.first_query)
    assert groups.first_part[-1] == len(groups.parts)


@given(masks(), st.booleans())
def test_tables_are_as_native_code_reads_them(seen_qk: Tensor, shuffled: bool) -> None:
    """Types and layouts; and no table says that a query sees a key which is not of its group."""
    groups = groups_of(pattern(seen_qk, 64, shuffled), (), seen_qk.shape[0])
    tensors = {
        torch.int32: (groups.first_query, groups.parts, groups.columns, *groups.orders),
        torch.int64: (groups.first_part, groups.seen),
    }
    for dtype, given_ in tensors.items():
        assert all(x is None or (x.dtype == dtype and x.is_contiguous()) for x in given_)
    for group, used in enumerate(groups.first_query.diff().tolist()):
        first, stop = groups.first_part[group : group + 2].tolist()
        for _, count, table in groups.parts[first:stop].tolist():
            bits = groups.seen[table : table + count].tolist() if table >= 0 else []
            assert all(0 < bit % (1 << GROUP) < 1 << used for bit in bits)


BOXES: tuple[tuple[str, Geometry, int], ...] = (
    ("window2d(radius=3)", grid("h_x", 19), 19 * 17),
    ("window2d(radius=2)", grid("h_x", 32), 32 * 16),
    ("window3d(radius=2)", volume("f_x", 8, 8), 8 * 64),
    ("window3d(radius=1)", volume("f_x", 9, 7), 5 * 63),
    ("shifted_window(size=8, shift=4)", grid("h_x", 24), 24 * 24),
)


def as_they_come(*_: object) -> Tensor:
    """No arrangement."""
    return torch.arange(GROUP)


@pytest.mark.parametrize(("text", "geometry", "tokens"), BOXES, ids=range(len(BOXES)))
def test_an_arrangement_changes_no_pair_and_never_adds_one(
    text: str, geometry: Geometry, tokens: int
) -> None:
    name = installed(text, geometry)
    found = groups_of(name, (tokens,), tokens)
    with patch.object(sparse_groups, "_arrangement", as_they_come):
        plain = groups_of(name, (tokens,), tokens)
    assert found.orders[0] is not None and plain.orders[0] is not None
    sizes = found.first_query.diff().tolist()
    for old, new in zip(plain.orders[0].split(sizes), found.orders[0].split(sizes), strict=True):
        assert old.sort().values.equal(new.sort().values)
    seen = shown(found, tokens)
    assert torch.equal(seen, shown(plain, tokens)) and seen.max() == 1
    assert (found.pairs, found.met) == counted(found, seen.bool())
    assert found.pairs <= plain.pairs and found.met == plain.met


def test_queries_of_a_box_stand_in_smaller_boxes() -> None:
    """Of 8 x 8 tokens a vector takes 4 x 4, whose windows of 20 x 20 are fewer keys than the
    18 x 24 of two rows.
    """
    name = installed("window2d(radius=8)", grid("h_x", 32))
    found = groups_of(name, (1024,), 1024)
    assert found.orders[0] is not None
    vector = found.orders[0].long().view(-1, VECTOR)
    for place in (vector // 32, vector % 32):
        assert (place.amax(1) - place.amin(1)).tolist() == [3] * (1024 // VECTOR)
    with patch.object(sparse_groups, "_arrangement", as_they_come):
        assert found.pairs < 0.95 * groups_of(name, (1024,), 1024).pairs


@given(masks(), st.sampled_from([16, 64]))
def test_arrangements_of_any_order(seen_qk: Tensor, tile: int) -> None:
    seed = torch.random.get_rng_state()
    found = groups_of(pattern(seen_qk, tile, shuffled=True), (), seen_qk.shape[0])
    torch.random.set_rng_state(seed)
    with patch.object(sparse_groups, "_arrangement", as_they_come):
        plain = groups_of(pattern(seen_qk, tile, shuffled=True), (), seen_qk.shape[0])
    assert found.pairs <= plain.pairs and found.met == plain.met


MEASURED = (
    # mask of the benchmarks, length, heads; native code beside dense SDPA in float32 at width 64,
    # forward and forward + backward, on a Xeon at 2.1 GHz with AVX-512
    ("causal", 256, 8, 0.62, 0.64),
    ("window", 256, 8, 0.48, 0.46),
    ("window", 256, 1, 0.75, 0.87),
    ("causal", 256, 1, 0.87, 1.00),
    ("document", 256, 1, 0.90, 1.04),
    ("shifted window", 256, 8, 0.34, 0.36),
    ("shifted window", 256, 1, 0.65, 0.73),
    ("causal", 512, 8, 0.51, 0.54),
    ("window", 512, 1, 0.36, 0.46),
    ("causal", 1024, 8, 0.65, 0.65),
    ("window", 1024, 8, 0.24, 0.24),
    ("causal", 4096, 8, 0.82, 0.81),
    ("window", 4096, 8, 0.09, 0.11),
)


def of_benchmark(name: str, length: int) -> tuple[str, tuple[int, ...]]:
    """A mask of the benchmarks as a new pattern, and its lengths."""
    case = MASKS[name](length)
    pattern_name = f"groups_{next(_NUMBERS)}"
    install(pattern_name, case.mask, case.documents)
    return pattern_name, case.values


def by_native(name: str, length: int, heads: int, width: int = 64, rate: float = 1.0) -> bool:
    """Whether a mask of the benchmarks goes by native code where that is at hand."""
    sizes = heads, length, length, width
    return isinstance(sparse_plan.chosen(*of_benchmark(name, length), sizes, rate, True), Groups)


@pytest.mark.parametrize(("name", "length", "heads", "forward", "training"), MEASURED, ids=str)
def test_native_code_is_chosen_as_measured(
    name: str, length: int, heads: int, forward: float, training: float
) -> None:
    """Never where that was slower; always where it takes at most six tenths."""
    check(not by_native(name, length, heads), forward, training)


@pytest.mark.parametrize("length", [256, 1024, 4096])
def test_what_all_see_is_left_to_dense_attention(length: int) -> None:
    sizes = 8, length, length, 64
    plan = sparse_plan.chosen(installed("full"), (length,), sizes, native=True)
    assert plan.dense


def test_more_work_never_makes_dense_the_choice() -> None:
    for heads in (1, 2, 8, 32):
        chosen = [by_native("window", length, heads) for length in (128, 256, 512, 1024)]
        assert chosen == sorted(chosen) and chosen[-1]
    for length in (128, 256, 512):
        chosen = [by_native("window", length, heads) for heads in (1, 2, 8, 32)]
        assert chosen == sorted(chosen)
        chosen = [by_native("window", length, 4, width) for width in (16, 64, 128, 256)]
        assert chosen == sorted(chosen)
        chosen = [by_native("window", length, 4, rate=rate) for rate in (0.1, 0.5, 1.0)]
        assert chosen == sorted(chosen)


def test_cost_grows_with_all_that_is_counted() -> None:
    groups = groups_of(*of_benchmark("window", 256), 256)
    cost = groups.cost(8, 64)
    assert groups.cost(9, 64) > cost and groups.cost(8, 80) > cost
    for name in ("pairs", "met", "queries"):
        assert replace(groups, **{name: getattr(groups, name) + 64}).cost(8, 64) > cost


def test_queries_of_a_box_in_space_and_time_stand_in_boxes_of_eight() -> None:
    """Of 4 x 4 x 4 tokens a block takes 2 x 2 x 2: sums meet its window of 6 x 6 x 6 alone."""
    name = installed("window3d(radius=2)", volume("f_x", 8, 8))
    found = groups_of(name, (512,), 512)
    assert found.orders[0] is not None
    block = found.orders[0].long().view(-1, BLOCK)
    for place in (block // 64, block // 8 % 8, block % 8):
        assert (place.amax(1) - place.amin(1)).tolist() == [1] * (512 // BLOCK)
