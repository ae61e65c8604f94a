"""Feed-forward layers against loops: activations, experts and their ties, one mlp a modality."""

from __future__ import annotations

import naive
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from part_case import filled, normal, same, same_gradients, valid_until, weights
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.routing import (
    ByModality,
    Experts,
    Glu,
    Mlp,
    Routing,
    activate,
)
from mmspec.compiler.runtime.grouped import grouped_matmul, grouped_outer

B, T, D, F = 2, 5, 6, 7
ACTIVATIONS = sorted(naive.ACTIVATIONS)


def tokens(x: Tensor) -> list[naive.Vector]:
    """x [B, T, D] as one list of tokens."""
    return naive.vectors(x.flatten(0, 1))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    x = torch.linspace(-5, 5, 41, dtype=torch.float64).requires_grad_()
    expected = torch.stack([naive.ACTIVATIONS[name](value) for value in x])
    same_gradients(activate(x, name), expected, [x])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_and_glu(activation: str, bias: bool) -> None:
    for layer in (
        filled(Mlp(D, ir.Mlp(F, activation, bias))),
        filled(Glu(D, ir.Glu(F, activation, bias))),
    ):
        formula = naive.glu if isinstance(layer, Glu) else naive.mlp
        names = {"up", "down", "gate"} if isinstance(layer, Glu) else {"up", "down"}
        kinds = ("weight", "bias") if bias else ("weight",)
        assert set(weights(layer)) == {f"{name}.{kind}" for name in names for kind in kinds}
        x = normal(B, T, D)
        expected = [formula(weights(layer), token, activation) for token in tokens(x)]
        expected_btd = naive.stacked(expected).view(B, T, D)
        same_gradients(layer(x), expected_btd, [x, *layer.parameters()])


def experts(count: int, choose: int, renormalise: bool = True, activation: str = "gelu") -> Experts:
    """A layer with weights that spread its choices."""
    layer = ir.Experts(F, activation, count, choose, renormalise, balance=0.01)
    return filled(Experts(D, layer))


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize(("count", "choose"), [(1, 1), (3, 1), (3, 3), (5, 2), (11, 3)])
def test_experts(count: int, choose: int, renormalise: bool, activation: str) -> None:
    layer, x = experts(count, choose, renormalise, activation), normal(B, T, D)
    routing: list[Routing] = []
    found = layer(x, None, routing)
    runs = [
        naive.experts(weights(layer), token, choose, activation, renormalise) for token in tokens(x)
    ]
    expected = naive.stacked([out for out, _, _ in runs]).view(B, T, D)
    same_gradients(found, expected, [x, *layer.parameters()])
    load, balance = balanced(runs, count)
    same(routing[0].load_e, load)
    same_gradients(routing[0].balance, balance, [x, layer.router.weight])


Run = tuple[naive.Vector, naive.Vector, list[int]]


def balanced(runs: list[Run], count: int) -> tuple[Tensor, Tensor]:
    """Shares of the assignments, and E times the sum of shares times mean probabilities."""
    assignments = [expert for _, _, picked in runs for expert in picked]
    load = [assignments.count(expert) / max(len(assignments), 1) for expert in range(count)]
    means = [
        naive.total([probabilities[expert] for _, probabilities, _ in runs]) / max(len(runs), 1)
        for expert in range(count)
    ]
    terms = [share * mean for share, mean in zip(load, means, strict=True)]
    return torch.tensor(load, dtype=torch.float64), count * naive.total(terms)


@pytest.mark.parametrize("lengths", [[5, 2], [1, 0], [0, 0]])
def test_balance_counts_valid_tokens_alone(lengths: list[int]) -> None:
    layer, x = experts(5, 2), normal(B, T, D)
    valid = valid_until(lengths, T)
    routing: list[Routing] = []
    found = layer(x, valid, routing)
    runs = [
        naive.experts(weights(layer), token, 2, "gelu", True)
        for token, real in zip(tokens(x), valid.flatten().tolist(), strict=True)
        if real
    ]
    load, balance = balanced(runs, 5)
    same(routing[0].load_e, load)
    same_gradients(routing[0].balance, balance, [x, layer.router.weight] if runs else [])
    kept = found.flatten(0, 1)[valid.flatten()]
    assert len(kept) == len(runs)
    for row, (out, _, _) in zip(kept, runs, strict=True):
        same(row, torch.stack(out))


def test_balance_is_one_when_routing_is_uniform() -> None:
    layer = experts(4, 1)
    with torch.no_grad():
        layer.router.weight.copy_(1e-9 * torch.eye(4, D))
    routing: list[Routing] = []
    layer(torch.eye(4, D, dtype=torch.float64)[None], None, routing)
    assert routing[0].load_e.tolist() == [0.25] * 4
    assert routing[0].balance.item() == pytest.approx(1, abs=1e-8)


@given(
    scores=st.lists(st.integers(-1, 1), min_size=2, max_size=40),
    choose=st.integers(1, 6),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_of_equal_experts_the_lower_number_is_chosen(
    scores: list[int], choose: int, dtype: torch.dtype
) -> None:
    choose = min(choose, len(scores))
    layer = Experts(1, ir.Experts(1, "relu", len(scores), choose, True, 0.0)).to(dtype)
    with torch.no_grad():
        layer.router.weight.copy_(torch.tensor(scores, dtype=dtype)[:, None])
    routing: list[Routing] = []
    layer(torch.ones(1, 1, 1, dtype=dtype), None, routing)
    order = sorted(range(len(scores)), key=lambda expert: (-scores[expert], expert))
    picked = [expert for expert, load in enumerate(routing[0].load_e.tolist()) if load > 0]
    assert picked == sorted(order[:choose])


def test_grouped_rows_multiply_by_the_matrix_of_their_expert() -> None:
    rows, x, w = torch.tensor([3, 0, 2]), normal(5, 2), normal(3, 2, 3)
    owner = [0, 0, 0, 2, 2]
    expected = [
        [naive.dot(naive.vectors(x)[r], list(column)) for column in w[e].T]
        for r, e in enumerate(owner)
    ]
    same_gradients(grouped_matmul(x, w, rows), naive.stacked(expected), [x, w])
    assert torch.autograd.gradcheck(lambda a, b: grouped_matmul(a, b, rows), (x, w))
    y = normal(5, 3)
    outer = grouped_outer(x, y, rows)
    for expert in range(3):
        for i in range(2):
            for j in range(3):
                terms = [x[r, i] * y[r, j] for r, e in enumerate(owner) if e == expert]
                same(outer[expert, i, j], naive.total(terms))


def test_each_modality_has_its_own_mlp() -> None:
    layer = filled(ByModality(D, ir.ByModality(F, "silu", True, segments=("image", "text"))))
    assert {name.split(".")[0] for name in weights(layer)} == {"image_mlp", "text_mlp"}
    x = normal(B, T, D)
    for counts in ((2, 3), (0, 5), (5, 0)):
        found = layer(x, counts)
        for b in range(B):
            for t in range(T):
                name = "image_mlp" if t < counts[0] else "text_mlp"
                token = naive.vectors(x[b])[t]
                expected = naive.mlp(naive.under(weights(layer), name), token, "silu")
                same_gradients(found[b, t], torch.stack(expected), [x, *layer.parameters()])
