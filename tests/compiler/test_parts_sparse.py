"""Sparse attention of a CPU against the softmax written out, in values and gradients."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmspec.compiler.runtime import native, sparse, sparse_calls, sparse_parts, sparse_plan
from mmspec.compiler.runtime.sparse import attend, attend_backward, sparse_attention
from mmspec.compiler.runtime.sparse_calls import Plan
from mmspec.compiler.runtime.sparse_pattern import Pattern, Seen, register, tiled

_NUMBERS = itertools.count()
SPARSE = {"_MARGIN": 1e9}
DENSE = {"_MARGIN": 0.0}
NATIVE = {"_MARGIN": 1e9, "_LEAST": 0}
WAYS = [(SPARSE, False), (DENSE, False), (DENSE, True), (NATIVE, False)]
SMALL = {"_WIDE": 8, "_LONG": 2, "_BAND": 3, "_TABLE": 8, "_EVEN": 4}


@contextmanager
def settings(*groups: Mapping[str, float]) -> Generator[None]:
    """Other prices and sizes, so that small inputs take every way."""
    with ExitStack() as stack:
        for name, value in (pair for group in groups for pair in group.items()):
            homes = native, sparse_calls, sparse_plan, sparse_parts
            home = next(home for home in homes if hasattr(home, name))
            stack.enter_context(patch.object(home, name, value))
        yield


def pattern(seen_qk: Tensor, tile: int, shuffled: bool = False) -> str:
    """The name of a new pattern for a mask: its tiles found by looking at every pair.

    shuffled: queries and keys stand in an order of their own.
    """
    orders = [torch.randperm(size) for size in seen_qk.shape]
    placed_qk = seen_qk[orders[0]][:, orders[1]] if shuffled else seen_qk

    def blocks() -> Iterator[Seen]:
        for start in range(0, seen_qk.shape[0], tile):
            rows = placed_qk[start : start + tile]
            tiles = enumerate(rows.split(tile, dim=1))
            runs = [
                (tile * at, tile * at + seen.shape[1], bool(seen.all()))
                for at, seen in tiles
                if seen.any()
            ]
            yield start, start + rows.shape[0], runs

    name = f"test {next(_NUMBERS)}"
    order = (lambda: (orders[0], orders[1])) if shuffled else None
    register(name, Pattern(blocks, lambda q, k: seen_qk[q, k], order))
    return name


def written_out(q_bhqw: Tensor, k_bgkw: Tensor, v_bgkw: Tensor, seen_bqk: Tensor) -> Tensor:
    """softmax(q kᵀ / √w) v in float64; rows without a key are 0."""
    share = q_bhqw.shape[1] // k_bgkw.shape[1]
    q, k, v = (x.double() for x in (q_bhqw, k_bgkw, v_bgkw))
    k, v = (x.repeat_interleave(share, dim=1) for x in (k, v))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~seen_bqk[:, None], -math.inf)
    shifted = scores - scores.amax(dim=-1, keepdim=True).clamp(min=-1e9)
    weights = shifted.exp()
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-200) @ v


@dataclass(frozen=True)
class Case:
    """Random inputs of an attention, all from a seed."""

    seen_qk: Tensor
    tile: int
    batch: int = 2
    kv_heads: int = 2
    share: int = 1
    widths: tuple[int, int] = (4, 4)
    ragged: bool = False
    dtype: torch.dtype = torch.float64
    shuffled: bool = False

    def check(self, tolerance: float) -> None:
        """Values and gradients agree, and what has no key has neither."""
        torch.manual_seed(0)
        queries, keys = self.seen_qk.shape
        heads = self.kv_heads * self.share
        q = torch.randn(self.batch, queries, heads, self.widths[0], dtype=self.dtype)
        k = torch.randn(self.batch, self.kv_heads, keys, self.widths[0], dtype=self.dtype)
        v = torch.randn(self.batch, keys, self.kv_heads, self.widths[1], dtype=self.dtype)
        q, v = q.transpose(1, 2), v.transpose(1, 2)
        leaves = [x.requires_grad_() for x in (q, k, v)]
        valid = torch.rand(self.batch, keys) < 0.7 if self.ragged else None
        seen = self.seen_qk.expand(self.batch, -1, -1)
        seen = seen if valid is None else seen & valid[:, None]
        name = pattern(self.seen_qk, self.tile, self.shuffled)
        found = sparse_attention(q, k, v, (name, ()), valid)
        expected = written_out(q, k, v, seen)
        grad = torch.randn(found.shape, dtype=self.dtype)
        pairs = zip(
            (found, *torch.autograd.grad(found, leaves, grad)),
            (expected, *torch.autograd.grad(expected, leaves, grad.double())),
            strict=True,
        )
        for of, truth in pairs:
            torch.testing.assert_close(of.double(), truth.double(), rtol=tolerance, atol=tolerance)
        empty_bq = ~seen.any(dim=2)
        assert found.dtype == self.dtype
        assert not found.transpose(1, 2)[empty_bq].any()


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    """Bands, blocks, prefixes, steps and noise; some rows see nothing."""
    queries, keys = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    q, k = torch.arange(queries)[:, None], torch.arange(keys)
    size = draw(st.integers(1, 20))
    noise = torch.rand(queries, keys, generator=torch.Generator().manual_seed(size)) < 0.1
    kinds = [
        k <= q,
        (k <= q) & (q - k < size),
        (q - k).abs() <= size,
        q // size == k // size,
        (k < size) & (q >= 0),
        (q - k) % size == 0,
        noise,
    ]
    first, second = draw(st.sampled_from(kinds)), draw(st.sampled_from(kinds))
    seen = draw(st.sampled_from([first, first | second, first & ~second]))
    blind = draw(st.lists(st.integers(0, queries - 1), max_size=3))
    seen = seen.clone()
    seen[blind] = False
    return seen


@pytest.mark.parametrize(("prices", "traced"), WAYS)
@given(
    masks(),
    st.sampled_from([4, 8]),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3)),
    st.sampled_from([(4, 4), (3, 5), (6, 2)]),
    st.booleans(),
    st.sampled_from([(torch.float64, 1e-10), (torch.float32, 2e-5)]),
    st.booleans(),
)
@example(
    torch.zeros(9, 7, dtype=torch.bool), 4, (2, 1, 3), (4, 4), True, (torch.float64, 1e-10), True
)
@example(
    torch.ones(70, 70, dtype=torch.bool), 8, (2, 1, 3), (3, 5), True, (torch.float64, 1e-10), True
)
def test_any_mask(
    prices: dict[str, float],
    traced: bool,
    seen_qk: Tensor,
    tile: int,
    counts: tuple[int, int, int],
    widths: tuple[int, int],
    ragged: bool,
    precision: tuple[torch.dtype, float],
    shuffled: bool,
) -> None:
    dtype, tolerance = precision
    with settings(prices, SMALL), ExitStack() as stack:
        if traced:  # by the operators, dense or not
            stack.enter_context(patch.object(sparse, "_dense_plan", lambda *_: None))
        Case(seen_qk, tile, *counts, widths, ragged, dtype, shuffled).check(tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 5e-2), (torch.float16, 8e-3)])
@pytest.mark.parametrize("prices", [SPARSE, DENSE, NATIVE])
def test_half_precision(dtype: torch.dtype, tolerance: float, prices: dict[str, float]) -> None:
    q, k = torch.arange(40)[:, None], torch.arange(40)
    seen = ((q - k).abs() <= 9) & (q != 3)
    with settings(prices, SMALL):
        Case(seen, 8, ragged=True, dtype=dtype).check(tolerance)


@pytest.mark.parametrize("prices", [SPARSE, DENSE, NATIVE])
@pytest.mark.parametrize("shuffled", [False, True])
def test_log_sum_exp_is_that_of_the_scores(prices: dict[str, float], shuffled: bool) -> None:
    q, k = torch.arange(45)[:, None], torch.arange(37)
    seen = ((q - k).abs() <= 6) & (q != 11)
    x, y = torch.randn(2, 3, 45, 4), torch.randn(2, 3, 37, 4)
    with settings(prices, SMALL):
        _, found = attend(x, y, y, None, None, None, pattern(seen, 8, shuffled), [], 0.3)
    scores = (0.3 * x.double() @ y.double().mT).masked_fill(~seen, -math.inf)
    expected = scores.logsumexp(-1).nan_to_num(neginf=0.0)
    assert not expected[:, :, 11].any() and not expected[:, :, 43:].any()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_what_sees_nothing_has_no_gradient() -> None:
    seen = torch.ones(20, 20, dtype=torch.bool).tril()
    seen[4], seen[:, 7] = False, False
    for prices in (SPARSE, DENSE, NATIVE):
        leaves = [torch.randn(1, 2, 20, 4, requires_grad=True) for _ in range(3)]
        q, k, v = leaves
        with settings(prices, SMALL):
            found = sparse_attention(q, k, v, (pattern(seen, 8), ()))
            grads = torch.autograd.grad(found.sum(), leaves)
        assert not found[:, :, 4].any() and not grads[0][:, :, 4].any()
        assert not grads[1][:, :, 7].any() and not grads[2][:, :, 7].any()
        assert all(bool(grad.isfinite().all()) for grad in grads)


def window(reach: int, tile: int) -> str:
    """A causal window by closed forms: (length,)."""
    tiles = -(-reach // tile)

    def runs(index: int, _: int) -> list[tuple[int, int, bool]]:
        return [(max(0, index - tiles), index + 1, False)]

    name = f"test {next(_NUMBERS)}"
    register(
        name,
        Pattern(
            lambda length: tiled(runs, tile, range(length), range(length), length),
            lambda q, k, _: (k <= q) & (q - k < reach),
        ),
    )
    return name


def chosen(name: str, lengths: tuple[int, ...], sizes: tuple[int, int, int, int]) -> Plan:
    """The plan of calls, or of one call on everything."""
    plan = sparse_plan.chosen(name, lengths, sizes)
    assert isinstance(plan, Plan)
    return plan


def test_a_window_is_bands_of_one_mask() -> None:
    plan = chosen(window(512, 64), (4096,), (8, 4096, 4096, 64))
    inner = [call for call in plan.calls if call.start >= 512]
    assert len(plan.tables) == 2
    assert len(inner) == 19  # 56 blocks in bands of 3: 2048 keys hold no more
    assert len({call.tables for call in inner}) == 1
    assert sum(call.count for call in plan.calls) == 64
    # the diagonal, seven tiles before it, and the one before those but for its first column
    assert plan.mask(inner[0], torch.float32) is plan.mask(inner[-1], torch.float32)
    assert inner[0].keys == 64 * 9


def test_what_many_blocks_see_is_one_rectangle() -> None:
    name = f"test {next(_NUMBERS)}"
    register(name, Pattern(lambda: tiled(lambda _: [(0, 8, True)], 64, range(512), range(512)), no))
    with settings(SPARSE):
        plan = chosen(name, (), (8, 512, 512, 64))
    assert [(call.rows, call.keys, call.masked) for call in plan.calls] == [(512, 512, False)]


def no(q: Tensor, k: Tensor) -> Tensor:
    """Nothing is seen."""
    return (q < 0) & (k < 0)


def test_segments_with_grids_of_their_own() -> None:
    """Two segments of 13 and 22 tokens: the second sees the first, both see themselves."""
    first, second = range(13), range(13, 35)
    seen = torch.zeros(35, 35, dtype=torch.bool)
    q, k = torch.arange(35)[:, None], torch.arange(35)
    seen = ((q < 13) & (k < 13)) | ((q >= 13) & (k <= q))

    def blocks() -> Iterator[Seen]:
        yield from tiled(lambda _: [(0, 2, True)], 8, first, first)
        yield from tiled(lambda _: [(0, 2, True)], 8, second, first)
        yield from tiled(lambda i: [(0, i, True), (i, i + 1, False)], 8, second, second)

    name = f"test {next(_NUMBERS)}"
    register(name, Pattern(blocks, lambda q, k: seen[q, k]))
    x = torch.randn(1, 2, 35, 4, dtype=torch.float64)
    with settings(SPARSE, SMALL):
        found = sparse_attention(x, x, x, (name, ()))
    torch.testing.assert_close(found, written_out(x, x, x, seen[None]))


def test_dense_where_nearly_all_is_computed_anyway() -> None:
    """A checkerboard of single keys: every tile is touched, nothing can be left out."""
    q, k = torch.arange(256)[:, None], torch.arange(256)
    name = pattern((q + k) % 2 == 0, 64)
    plan = chosen(name, (), (8, 256, 256, 64))
    assert plan.dense and not plan.calls[0].causal
    assert [(call.rows, call.keys) for call in plan.calls] == [(256, 256)]


@pytest.mark.parametrize("length", [1, 64, 65, 1000])
def test_causal_is_known_as_such(length: int) -> None:
    sizes = 8, length, length, 64
    with settings(DENSE):
        assert chosen(window(1 << 40, 64), (length,), sizes).calls[0].causal
        shorter = chosen(window(max(1, length - 1), 64), (length,), sizes)
        assert shorter.calls[0].causal == (length == 1)


def test_operators_are_sound() -> None:
    name = window(9, 8)
    with settings(SPARSE, SMALL):
        for valid in (None, torch.rand(2, 50) < 0.7):
            q, k, v = (torch.randn(2, h, 50, 4, requires_grad=True) for h in (4, 2, 2))
            torch.library.opcheck(attend, (q, k, v, valid, None, None, name, [50], 0.5))
            with torch.no_grad():
                results = list(attend(q, k, v, valid, None, None, name, [50], 0.5))
                inputs = [results[0], [q, k, v], results, valid, None, None, name, [50], 0.5]
                torch.library.opcheck(attend_backward, tuple(inputs))


def test_one_graph_for_every_length() -> None:
    name = window(9, 8)

    def attention(x_bhtw: Tensor) -> Tensor:
        return sparse_attention(x_bhtw, x_bhtw, x_bhtw, (name, (x_bhtw.shape[2],)))

    torch.compiler.reset()
    graphs: list[object] = []

    def counted(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(attention, fullgraph=True, dynamic=True, backend=counted)
    with settings(SPARSE, SMALL):
        for length in (50, 33, 70):
            x = torch.randn(2, 2, length, 4, requires_grad=True)
            torch.testing.assert_close(compiled(x), attention(x))
            mine, other = (torch.autograd.grad(f(x).sum(), x) for f in (compiled, attention))
            torch.testing.assert_close(mine, other)
    assert len(graphs) == 1


def test_whole_graphs_with_gradients() -> None:
    name = window(9, 8)

    def attention(x_bhtw: Tensor) -> Tensor:
        return sparse_attention(x_bhtw, x_bhtw, x_bhtw, (name, (x_bhtw.shape[2],)))

    torch.compiler.reset()
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    with settings(SPARSE, SMALL):
        x = torch.randn(2, 2, 50, 4, requires_grad=True)
        mine, other = (torch.autograd.grad(f(x).sum(), x) for f in (compiled, attention))
        torch.testing.assert_close(compiled(x), attention(x))
        torch.testing.assert_close(mine, other)


def test_export_keeps_the_length_free() -> None:
    name = window(9, 8)

    class Attention(torch.nn.Module):
        def forward(self, x_bhtw: Tensor) -> Tensor:
            return sparse_attention(x_bhtw, x_bhtw, x_bhtw, (name, (x_bhtw.shape[2],)))

    length = torch.export.Dim("length", min=4, max=512)
    program = torch.export.export(
        Attention(), (torch.randn(2, 2, 50, 4),), dynamic_shapes=({2: length},)
    )
    x = torch.randn(2, 2, 77, 4)
    torch.testing.assert_close(program.module()(x), Attention()(x))


def test_autocast_computes_in_bfloat16() -> None:
    x = torch.randn(1, 2, 16, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert sparse_attention(x, x, x, (window(4, 8), (16,))).dtype == torch.bfloat16


def test_flops_are_those_of_the_pairs_computed() -> None:
    """Blocks of 8 that see themselves: 5 x 8 x 8 pairs, 2 products forward and 5 backward."""
    q, k = torch.arange(40)[:, None], torch.arange(40)
    x = torch.randn(2, 3, 40, 4, requires_grad=True)
    name = pattern(q // 8 == k // 8, 8)
    with settings(SPARSE), FlopCounterMode(display=False) as counter:
        sparse_attention(x, x, x, (name, ())).sum().backward()
    product = 2 * (2 * 3) * (5 * 8 * 8) * 4
    assert counter.get_total_flops() == 7 * product
