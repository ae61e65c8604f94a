"""Relative scores on a CPU, by native code and by calls: values and gradients as by the formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
import torch
from native_case import inputs, installed, only_native
from torch import Tensor

from mmspec.compiler.parts.scores import Alibi, relative_table
from mmspec.compiler.relations.meaning.geometry import Geometry, grid
from mmspec.compiler.runtime import pace
from mmspec.compiler.runtime.sparse import sparse_attention
from mmspec.compiler.runtime.sparse_plan import whole

HEADS: Final = (6, 3)
Ways = Callable[[pytest.MonkeyPatch], object]


def by_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only by calls of torch's kernel."""
    monkeypatch.setenv("MMSPEC_NATIVE", "0")
    monkeypatch.setattr(pace, "pace", lambda _: pace.Pace(1.0, 1.0))
    monkeypatch.setenv("MMSPEC_TILES", "1")


def by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only by one dense call."""
    monkeypatch.setenv("MMSPEC_TILES", "0")


WAYS: Final[dict[str, Ways]] = {"native": only_native, "calls": by_calls, "dense": by_one}


def formula(given: list[Tensor], seen: Tensor, added: Tensor) -> list[Tensor]:
    """The output and the gradients of queries, keys and values, in float64."""
    q, k, v = (x.detach().double().requires_grad_() for x in given[:3])
    shared = q.shape[1] // k.shape[1]
    keys, values = (x.repeat_interleave(shared, dim=1) for x in (k, v))
    scores = q @ keys.mT / q.shape[3] ** 0.5 + added
    weights = torch.where(seen, scores, -torch.inf).softmax(-1)
    y = torch.where(seen, weights, 0.0) @ values
    return [y.detach(), *torch.autograd.grad(y, (q, k, v), given[3].double())]


def added(places: list[int], slopes: list[float]) -> Tensor:
    """What is added to scores for the distance of places, nothing where one is negative."""
    rows = [[[-m * abs(q - k) * (min(q, k) >= 0) for k in places] for q in places] for m in slopes]
    return torch.tensor(rows, dtype=torch.float64)


def seen_by(name: str, tokens: int) -> Tensor:
    """Who sees whom, in the order of tokens."""
    (seen_qk,) = whole(name, (tokens,), tokens, tokens).tables
    return seen_qk


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "text, geometry, tokens",
    [
        ("causal", None, 150),
        ("window(before=40, after=9) | global(1)", None, 201),
        ("dilated(step=3, reach=60)", None, 190),
        ("window2d(2)", grid(12, 13), 156),
    ],
)
def test_relative_scores_are_those_of_the_formula(
    way: str,
    text: str,
    geometry: Geometry | None,
    tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = installed(text, geometry)
    calls = WAYS[way](monkeypatch)
    given = inputs((tokens, tokens), batch=2, heads=HEADS, widths=(24, 24))
    table = relative_table(Alibi(HEADS[0]), tokens, torch.device("cpu"))
    slopes = Alibi(HEADS[0]).double().slopes_h.tolist()
    expected = formula(given, seen_by(name, tokens), added([*range(tokens)], slopes))
    for found, wanted in zip(computed(given, name, (table, None)), expected, strict=True):
        assert torch.allclose(found.double(), wanted, rtol=1e-4, atol=2e-5)
    assert way != "native" or calls == ["attention_forward", "attention_backward"]
    table[4] *= 1.02  # a slope that is wrong
    for found, wanted in zip(computed(given, name, (table, None)), expected, strict=True):
        assert not torch.allclose(found.double(), wanted, rtol=1e-4, atol=2e-5)


def computed(
    given: list[Tensor], name: str, relative: tuple[Tensor, Tensor | None]
) -> tuple[Tensor, ...]:
    """The output and the gradients of queries, keys and values."""
    leaves = [x.detach().requires_grad_() for x in given[:3]]
    pattern = name, (given[0].shape[2],)
    y = sparse_attention(leaves[0], leaves[1], leaves[2], pattern, relative=relative)
    return y.detach(), *torch.autograd.grad(y, leaves, given[3])


@pytest.mark.parametrize("way", WAYS)
def test_tokens_without_a_place_have_no_relative_scores(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, tokens = installed("window(before=30, after=30)"), 140
    WAYS[way](monkeypatch)
    given = inputs((tokens, tokens), heads=HEADS)
    places = [*range(50), *[-1] * 20, *range(300, 370)]
    table = relative_table(Alibi(HEADS[0]), 70, torch.device("cpu"))
    slopes = Alibi(HEADS[0]).double().slopes_h.tolist()
    on_line = added(places, slopes)
    on_line[:, :50, 70:] = on_line[:, 70:, :50] = 0
    expected = formula(given, seen_by(name, tokens), on_line)
    relative = table, torch.tensor(places, dtype=torch.int32)
    for found, wanted in zip(computed(given, name, relative), expected, strict=True):
        assert torch.allclose(found.double(), wanted, rtol=1e-4, atol=2e-5)


def test_a_table_whose_gradient_is_wanted_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its gradient was None without a word."""
    name, tokens = installed("window(before=30, after=30)"), 140
    by_calls(monkeypatch)
    q, k, v, grad = inputs((tokens, tokens), heads=HEADS)
    table = relative_table(Alibi(HEADS[0]), tokens, torch.device("cpu")).requires_grad_()
    y = sparse_attention(q.requires_grad_(), k, v, (name, (tokens,)), relative=(table, None))
    with pytest.raises(AssertionError, match="relative_ho"):
        y.backward(grad)


@pytest.mark.parametrize("way", WAYS)
def test_a_sink_has_its_share_and_its_gradient(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against one key more, of value 0, in float64; some queries see no other key."""
    name, tokens = installed("window(before=30, after=9) & prefix(length=60)"), 140
    WAYS[way](monkeypatch)
    given = inputs((tokens, tokens), heads=HEADS)
    sink = torch.linspace(-2, 3, HEADS[0]).requires_grad_()
    leaves = [*(x.detach().requires_grad_() for x in given[:3]), sink]
    y = sparse_attention(leaves[0], leaves[1], leaves[2], (name, (tokens,)), sink_h=sink)
    found = y.detach(), *torch.autograd.grad(y, leaves, given[3])
    q, k, v, score = (x.detach().double().requires_grad_() for x in leaves)
    keys, values = (x.repeat_interleave(2, dim=1) for x in (k, v))
    seen = seen_by(name, tokens)
    assert not seen.any(1).all()
    products = torch.where(seen, q @ keys.mT / q.shape[3] ** 0.5, -torch.inf)
    column = score[:, None, None].expand(len(q), -1, tokens, 1)
    expected = torch.cat((products, column), -1).softmax(-1)[..., :-1] @ values
    wanted = torch.autograd.grad(expected, (q, k, v, score), given[3].double())
    for one, other in zip(found, (expected, *wanted), strict=True):
        assert torch.allclose(one.double(), other, rtol=1e-4, atol=2e-5)
