"""Heads against loops: pools with any length, logits, similarities of projected means."""

from __future__ import annotations

import math

import naive
import pytest
import torch
from part_case import filled, normal, same, same_gradients, valid_until, weights

from mmspec.compiler.parts.head import (
    ContrastiveHead,
    LanguageModelHead,
    PooledHead,
    first_pool,
    last_pool,
)

B, T, D = 3, 5, 7
LENGTHS = [5, 2, 0]


def pooled(rows: naive.Matrix, pool: str) -> naive.Vector:
    """Mean, first or last of the valid rows; 0 where there are none."""
    if not rows:
        return [naive.zero()] * D
    return {
        "mean": naive.mean(rows, [True] * len(rows), D),
        "first": rows[0],
        "last": rows[-1],
    }[pool]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("pool", ["mean", "first", "last"])
def test_pooled_outputs(pool: str, padded: bool) -> None:
    part = filled(PooledHead(D, 11, pool))
    x, lengths = normal(B, T, D), LENGTHS if padded else [T] * B
    found = part(x, valid_until(lengths, T) if padded else None)
    rows = [pooled(naive.vectors(x[b, :n]) if n else [], pool) for b, n in enumerate(lengths)]
    expected = naive.stacked([naive.linear(weights(part), "output", row) for row in rows])
    same_gradients(found, expected, [x, *part.parameters()])


@pytest.mark.parametrize("pool", ["mean", "first", "last"])
def test_no_tokens_pool_to_zero(pool: str) -> None:
    part = filled(PooledHead(D, 11, pool))
    x = normal(B, 0, D)
    for valid in (None, valid_until([0] * B, 0)):
        assert torch.equal(part(x, valid), part.output.bias.expand(B, 11))


def test_pools_find_valid_tokens_anywhere() -> None:
    """In a sequence of several segments the valid tokens are not a prefix."""
    x = normal(2, T, D)
    valid = torch.tensor([[False, True, False, True, False], [False, False, True, False, False]])
    same(first_pool(x, valid), torch.stack([x[0, 1], x[1, 2]]))
    same(last_pool(x, valid), torch.stack([x[0, 3], x[1, 2]]))


def test_language_model_logits() -> None:
    part = filled(LanguageModelHead(D, 11))
    x = normal(B, T, D)
    assert set(weights(part)) == {"output.weight"}
    expected = [
        naive.stacked([naive.linear(weights(part), "output", row) for row in naive.vectors(x[b])])
        for b in range(B)
    ]
    same_gradients(part(x, torch.empty(0)), torch.stack(expected), [x, *part.parameters()])


def test_contrastive_similarities() -> None:
    made = ContrastiveHead("image", "text", (D, 4), 3, 0.07)
    assert made.scale.item() == pytest.approx(math.log(1 / 0.07), rel=1e-6)
    part = filled(made)
    names = {"image_projection.weight", "text_projection.weight", "scale"}
    assert set(weights(part)) == names
    a, b = normal(B, T, D), normal(B, 2, 4)
    found = part(a, valid_until([5, 2, 1], T), b, None)

    def unit(name: str, rows: naive.Matrix) -> naive.Vector:
        mean = naive.mean(rows, [True] * len(rows), len(rows[0]))
        projected = naive.linear(weights(part), f"{name}_projection", mean)
        length = torch.sqrt(naive.dot(projected, projected))
        return [value / length for value in projected]

    u = [unit("image", naive.vectors(a[i, :n])) for i, n in enumerate([5, 2, 1])]
    v = [unit("text", naive.vectors(b[j])) for j in range(B)]
    scale = torch.exp(part.scale)
    expected = naive.stacked([[scale * naive.dot(row, column) for column in v] for row in u])
    same_gradients(found, expected, [a, b, *part.parameters()])


def test_a_sample_without_tokens_is_similar_to_nothing() -> None:
    part = filled(ContrastiveHead("a", "b", (D, D), 3, 0.1))
    x = normal(B, T, D)
    found = part(x, valid_until(LENGTHS, T), normal(B, T, D), None)
    assert torch.equal(found[2], torch.zeros(B, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert gradient.isfinite().all()
