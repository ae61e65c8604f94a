"""Native attention against float64: every width, length, layout and kind of mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from native_case import check, computed, inputs, installed, only_native
from test_parts_sparse import pattern, window, written_out
from torch import Tensor

from mmspec.compiler.parts.attention import document_spans
from mmspec.compiler.relations.loops.token_tables import chosen_blocks
from mmspec.compiler.relations.meaning.geometry import Geometry, grid, volume
from mmspec.compiler.runtime import native
from mmspec.compiler.runtime.sparse import attend, attend_backward
from mmspec.compiler.runtime.sparse_pattern import Pattern, register


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Native code alone, and its calls; every test has some."""
    found = only_native(monkeypatch)
    yield found
    assert "attention_forward" in found


def places(queries: int, keys: int) -> tuple[Tensor, Tensor]:
    return torch.arange(queries)[:, None], torch.arange(keys)


def mixed(queries: int, keys: int, seed: int = 0) -> Tensor:
    """A window along the diagonal, some keys that all see, some noise, queries that are blind."""
    generator = torch.Generator().manual_seed(seed)
    q, k = places(queries, keys)
    seen = (q * keys - k * queries).abs() <= 40 * max(queries, keys)
    seen = seen | (k < 3) | (torch.rand(queries, keys, generator=generator) < 0.01)
    seen[torch.randint(queries, (max(queries // 16, 1),), generator=generator)] = False
    if queries > 300:
        seen[100:240] = False  # more than a group
    return seen


@pytest.mark.parametrize("width", [1, 16, 20, 33, 64, 72, 128, 256])
def test_widths_of_heads(width: int) -> None:
    seen = mixed(131, 149)
    check(inputs((131, 149), widths=(width, width)), seen, (pattern(seen, 32), ()))


def test_pairs_of_segments_may_cut_the_same_queries_in_other_places() -> None:
    """One key that all others see as a whole, and these cut in two among themselves."""
    blocks = (
        (0, 1, [(0, 1, True)]),
        (1, 13, [(0, 1, True)]),
        (1, 7, [(1, 7, False)]),
        (7, 13, [(1, 7, True), (7, 13, False)]),
    )
    register("cut_twice", Pattern(lambda: iter(blocks), lambda q, k: k <= q))
    check(inputs((13, 13), batch=2), torch.ones(13, 13).tril().bool(), ("cut_twice", ()))


def test_results_may_begin_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines are written past the cache only where lines begin."""

    def apart(x_bhtw: Tensor, dtype: torch.dtype) -> Tensor:
        batch, heads, tokens, width = x_bhtw.shape
        room = torch.empty(x_bhtw.numel() + 1, dtype=dtype)[1:]
        return room.view(batch, tokens, heads, width).transpose(1, 2)

    given, name = inputs((70, 70), widths=(32, 32)), pattern(mixed(70, 70), 16)
    expected = computed(given, (name, ()))
    monkeypatch.setattr(native, "result_like", apart)
    assert all(map(torch.equal, computed(given, (name, ())), expected))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [16, 20, 33, 128])
def test_half_precision_rounds_each_result_once(width: int, dtype: torch.dtype) -> None:
    seen = mixed(131, 149)
    given = [x.to(dtype) for x in inputs((131, 149), heads=(4, 2), widths=(width, width))]
    check(given, seen, (pattern(seen, 32), ()))


def test_scores_of_queries_that_are_not_there_harm_nobody() -> None:
    """The last group has three queries, and behind them those of the group before: of high scores,
    whose weights would be infinite beside the sums of these.
    """
    given = [x.bfloat16() for x in inputs((131, 131), widths=(64, 64))]
    given[0] *= 300
    seen = torch.ones(131, 131, dtype=torch.bool)
    check(given, seen, (pattern(seen, 32), ()))


@pytest.mark.parametrize("widths", [(24, 40), (40, 24), (64, 16), (7, 250)])
def test_values_of_another_width(widths: tuple[int, int]) -> None:
    seen = mixed(83, 71)
    check(inputs((83, 71), widths=widths), seen, (pattern(seen, 16), ()))


@pytest.mark.parametrize("heads", [(6, 2), (3, 1), (5, 5)])
@pytest.mark.parametrize("width", [16, 20])
def test_keys_that_heads_share(heads: tuple[int, int], width: int) -> None:
    seen = mixed(109, 131)
    given = inputs((109, 131), batch=2, heads=heads, widths=(width, width))
    check(given, seen, (pattern(seen, 32), ()))


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("seen", [torch.ones(150, 150, dtype=torch.bool), mixed(150, 150)])
def test_valid_keys_of_each_sample(shuffled: bool, seen: Tensor) -> None:
    """The second sample has few, the third none; those of the first are anywhere."""
    given = inputs((150, 150), batch=3, heads=(4, 2))
    valid = torch.arange(150) < torch.tensor([[150], [37], [0]])
    valid[0] = torch.rand(150, generator=torch.Generator().manual_seed(1)) < 0.6
    check(given, seen, (pattern(seen, 32, shuffled), ()), valid)


def test_one_valid_mask_for_all_samples() -> None:
    given, seen = inputs((70, 70), batch=3), mixed(70, 70)
    name, valid = pattern(seen, 32), torch.arange(70)[None] % 3 > 0
    alike = zip(
        computed(given, (name, ()), valid),
        computed(given, (name, ()), valid.repeat(3, 1)),
        strict=True,
    )
    assert all(one.equal(other) for one, other in alike)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "heads side by side": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "numbers apart": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "one sample for all": lambda x: x[:1].expand(x.shape),
    "one token for all": lambda x: x[:, :, :1].expand(x.shape),
    "part of a wider row": lambda x: torch.cat([x[..., :3], x, x], 3)[..., 3 : 3 + x.shape[3]],
    "backwards": lambda x: x.flip(2)[:, :, range(x.shape[2] - 1, -1, -1)],
}


@pytest.mark.parametrize("width", [16, 20])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_that_lie_anyhow(layout: str, width: int) -> None:
    seen = mixed(67, 83)
    given = inputs((67, 83), batch=2, heads=(4, 2), widths=(width, width))
    check(list(map(LAYOUTS[layout], given)), seen, (pattern(seen, 16), ()))
    for place, x in enumerate(given):  # one that lies otherwise than the rest
        check(
            [*given[:place], LAYOUTS[layout](x), *given[place + 1 :]], seen, (pattern(seen, 16), ())
        )


LENGTHS = (
    *((1, 1), (1, 64), (15, 17), (16, 1), (17, 16), (63, 65), (64, 63), (65, 129), (129, 64)),
    *((128, 128), (1000, 1000), (257, 1000), (1000, 65)),
)


@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_lengths(queries: int, keys: int) -> None:
    seen = mixed(queries, keys)
    check(inputs((queries, keys)), seen, (pattern(seen, 64), ()))
    whole = torch.ones_like(seen)
    check(inputs((queries, keys)), whole, (pattern(whole, 48), ()))


@pytest.mark.parametrize(("queries", "keys", "batch"), [(0, 5, 1), (5, 0, 1), (0, 0, 1), (5, 5, 0)])
def test_nothing_at_all(queries: int, keys: int, batch: int) -> None:
    seen = torch.ones(queries, keys, dtype=torch.bool)
    given = inputs((queries, keys), batch=batch)
    for found, x in zip(
        computed(given, (pattern(seen, 8), ())), (given[0], *given[:3]), strict=True
    ):
        assert found.shape == x.shape and not found.any()


@pytest.mark.parametrize(("queries", "keys"), [(64, 64), (67, 83), (300, 257)])
def test_places_in_an_order_of_their_own(queries: int, keys: int) -> None:
    seen = mixed(queries, keys)
    check(inputs((queries, keys), heads=(4, 2)), seen, (pattern(seen, 32, shuffled=True), ()))


def near(columns: int, reach: int, frame: int = 1 << 30) -> Callable[[Tensor, Tensor], Tensor]:
    """Whether tokens are at most `reach` frames, rows and columns apart."""

    def sees(q: Tensor, k: Tensor) -> Tensor:
        apart = [
            q // frame - k // frame,
            q % frame // columns - k % frame // columns,
            q % columns - k % columns,
        ]
        return torch.stack([x.abs() <= reach for x in torch.broadcast_tensors(*apart)]).all(0)

    return sees


def _shifted(q: Tensor, k: Tensor) -> Tensor:
    """Of windows of 8 x 8 on 21 columns, shifted by 4."""
    same = (q // 21 + 4) // 8 == (k // 21 + 4) // 8
    return same & ((q % 21 + 4) // 8 == (k % 21 + 4) // 8)


_TABLE = [chosen_blocks(2, 5, row, 6) for row in range(6)]
MASKS: dict[str, tuple[Geometry | None, int, Callable[[Tensor, Tensor], Tensor]]] = {
    "causal": (None, 333, lambda q, k: k <= q),
    "window(before=99, after=7)": (None, 333, lambda q, k: (q - k <= 99) & (k - q <= 7)),
    "dilated(step=5, reach=200)": (
        None,
        513,
        lambda q, k: ((q - k) % 5 == 0) & ((q - k).abs() <= 200),
    ),
    "window2d(radius=3)": (grid("h_x", 19), 19 * 17, near(19, 3)),
    "window3d(radius=2)": (volume("f_x", 9, 7), 5 * 63, near(7, 2, 63)),
    "shifted_window(size=8, shift=4)": (grid("h_x", 21), 21 * 23, _shifted),
    "global(count=5) | window(before=9, after=9)": (
        None,
        333,
        lambda q, k: (q < 5) | (k < 5) | ((q - k).abs() <= 9),
    ),
    "random(blocks=2, seed=5)": (
        None,
        6 * 64,
        lambda q, k: torch.tensor([[c in row for c in range(6)] for row in _TABLE])[
            q // 64, k // 64
        ],
    ),
}


@pytest.mark.parametrize("text", MASKS)
def test_masks_of_the_language(text: str) -> None:
    geometry, tokens, sees = MASKS[text]
    given = inputs((tokens, tokens), heads=(2, 1), widths=(20, 20))
    check(given, sees(*places(tokens, tokens)), (installed(text, geometry), (tokens,)))


def test_documents_of_each_sample() -> None:
    """Two samples pack the same documents, one has others."""
    lengths = [[70, 3, 127], [200], [70, 3, 127]]
    ids = torch.stack([torch.arange(len(x)).repeat_interleave(torch.tensor(x)) for x in lengths])
    q, k = places(200, 200)
    seen = (ids[:, :, None] == ids[:, None]) & (k <= q)
    spans = document_spans((ids,), (ids,))
    name = installed("document & causal", most=200)
    check(inputs((200, 200), batch=3, heads=(4, 2)), seen, (name, (200,)), None, (spans, spans))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_any_number_of_threads_and_runs_gives_the_same(dtype: torch.dtype) -> None:
    seen = mixed(300, 257)
    given = [x.to(dtype) for x in inputs((300, 257), batch=3, heads=(6, 2), widths=(20, 20))]
    name, threads = pattern(seen, 64), torch.get_num_threads()
    found = []
    for count in (1, 2, 2, 5, 1):
        torch.set_num_threads(count)
        try:
            found.append(computed(given, (name, ())))
        finally:
            torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(x.equal(y) for x, y in zip(found[0], other, strict=True))


def test_threads_of_python_at_once() -> None:
    """Each has rooms of its own, though native code runs without Python's lock."""
    seen = mixed(300, 300)
    name = pattern(seen, 64)
    wide = enumerate((20, 33, 46, 59))
    given = [inputs((300, 300), widths=(width, width), seed=seed) for seed, width in wide]
    alone = [computed(each, (name, ())) for each in given]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = pool.map(lambda each: computed(each, (name, ())), given)
            for one, other in zip(alone, together, strict=True):
                assert all(x.equal(y) for x, y in zip(one, other, strict=True))


def test_large_scores() -> None:
    """Up to 1e4: nearly all weight is on one key, and float32 rounds the scores to 1e-3."""
    seen = mixed(131, 131)
    given = inputs((131, 131), widths=(20, 20))
    scale = math.sqrt(1e4 / float((given[0] @ given[1].mT / math.sqrt(20)).abs().max()))
    given = [given[0] * scale, given[1] * scale, *given[2:]]
    leaves = [x.double().requires_grad_() for x in given[:3]]
    truth = written_out(leaves[0], leaves[1], leaves[2], seen[None])
    expected = truth.detach(), *torch.autograd.grad(truth, leaves, given[3].double())
    for found, of in zip(computed(given, (pattern(seen, 32), ())), expected, strict=True):
        assert found.isfinite().all()
        assert (found - of).abs().max() <= 4e-3 * of.abs().max()


def hidden(value: float, pairs: tuple[Tensor, Tensor | None]) -> list[Tensor]:
    """What is computed where some keys and values have a value that no query sees, or is valid."""
    seen, valid = pairs
    lost = ~seen.any(0) if valid is None else ~valid[0]
    given = inputs((seen.shape[0], seen.shape[1]), widths=(20, 20))
    for x in given[1:3]:
        x[:, :, lost] = value
    return list(computed(given, (pattern(seen, 16), ()), valid))


HIDDEN_KEYS = {
    "by the mask": (mixed(90, 90) & (torch.arange(90) % 7 != 3), None),
    "not valid": (mixed(90, 90), torch.arange(90)[None] % 7 != 3),
}


@pytest.mark.parametrize("how", HIDDEN_KEYS)
def test_what_hidden_keys_hold_changes_no_bit(how: str) -> None:
    plain = hidden(0.5, HIDDEN_KEYS[how])
    assert not plain[2][:, :, 3::7].any() and not plain[3][:, :, 3::7].any()
    for value in (1e30, -3e38):
        assert all(map(torch.equal, plain, hidden(value, HIDDEN_KEYS[how])))


def test_keys_that_are_not_valid_may_hold_anything() -> None:
    """They are never read. Those that the mask hides must be finite, as for torch's kernels."""
    plain = hidden(0.5, HIDDEN_KEYS["not valid"])
    assert all(map(torch.equal, plain, hidden(math.nan, HIDDEN_KEYS["not valid"])))


@pytest.mark.parametrize("value", [1e30, -3e38])
def test_keys_that_some_queries_do_not_see_change_no_bit_of_those(value: float) -> None:
    q, k = places(100, 100)
    seen = (k <= q) & (q - k < 40)
    given, name = inputs((100, 100), widths=(20, 20)), pattern(seen, 32)
    plain = computed(given, (name, ()))
    for x in given[1:3]:
        x[:, :, 50] = value
    others = ~seen[:, 50]
    for one, other in zip(plain[:2], computed(given, (name, ()))[:2], strict=True):
        assert one[:, :, others].equal(other[:, :, others])
        assert not one[:, :, ~others].equal(other[:, :, ~others])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_seen_in_all_that_depends_on_it(value: float) -> None:
    """As torch's kernels show it, in values and in gradients; nowhere a number that is wrong."""
    seen = torch.ones(70, 70, dtype=torch.bool)
    given = inputs((70, 70), heads=(1, 1))
    given[1][0, 0, 5] = value
    y, dq, dk, dv = computed(given, (pattern(seen, 16), ()))
    assert y.isnan().all() and dq.isnan().all() and dk.isnan().all() and dv.isnan().all()


@pytest.mark.parametrize("wrong", [(40, 50, 16), (60, 50, 16), (50, 40, 16), (50, 50, 8)])
def test_sizes_that_do_not_fit_are_refused(wrong: tuple[int, int, int], calls: list[str]) -> None:
    """Native code would read and write what is not its own."""
    queries, keys, value_width = wrong
    q, k, v, _ = inputs((50, 50))
    name = window(9, 8)
    attend(q, k, v, None, None, None, name, [50], 0.25)
    (q, k, v, _), before = inputs((queries, keys), widths=(16, value_width)), len(calls)
    if queries == 60:  # some that no pattern knows see nothing
        assert not attend(q, k, v, None, None, None, name, [50], 0.25)[0][:, :, 50:].any()
        return
    with pytest.raises(AssertionError):
        attend(q, k, v, None, None, None, name, [50], 0.25)
    assert len(calls) == before


def test_gradients_by_the_one_way_from_results_of_the_other(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward and backward are chosen each by its own cost: log-sum-exp means the same to both."""
    seen = mixed(131, 149)
    q, k, v, grad = inputs((131, 149), heads=(4, 2))
    rest: tuple[Any, ...] = None, None, None, pattern(seen, 16), [], 0.25
    plain = attend(q, k, v, *rest)
    expected = attend_backward(grad, [q, k, v], list(plain), *rest)
    with monkeypatch.context() as patched:
        patched.setattr(native, "fits", lambda *_: False)
        before = len(calls)
        other = attend(q, k, v, *rest)
        by_torch = attend_backward(grad, [q, k, v], list(plain), *rest)
        assert len(calls) == before
    by_native = attend_backward(grad, [q, k, v], list(other), *rest)
    assert len(calls) == before + 1
    for found in ((*other, *by_torch), (*plain, *by_native)):
        for one, truth in zip(found, (*plain, *expected), strict=True):
            torch.testing.assert_close(one, truth, rtol=1e-4, atol=2e-5)


def test_operators_are_sound() -> None:
    name = window(9, 8)
    for valid in (None, torch.rand(2, 50) < 0.7):
        q, k, v = (torch.randn(2, h, 50, 20, requires_grad=True) for h in (4, 2, 2))
        rest = valid, None, None, name, [50], 0.5
        torch.library.opcheck(attend, (q, k, v, *rest))
        with torch.no_grad():
            results = list(attend(q, k, v, *rest))
            torch.library.opcheck(attend_backward, (results[0], [q, k, v], results, *rest))


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.half)])
def test_inputs_of_several_types_are_read_as_the_first(
    dtypes: tuple[torch.dtype, torch.dtype],
) -> None:
    """As torch's kernels take them."""
    seen = mixed(70, 83)
    q, k, v, _ = (x.to(torch.bfloat16) for x in inputs((70, 83)))
    name = pattern(seen, 16)

    def attention(first: torch.dtype, other: torch.dtype) -> tuple[Tensor, Tensor]:
        of = q.to(first), k.to(other), v.to(other)
        found: tuple[Tensor, Tensor] = attend(*of, None, None, None, name, [], 0.25)
        return found

    expected, found = attention(dtypes[0], dtypes[0]), attention(*dtypes)
    assert all(map(torch.equal, found, expected))
