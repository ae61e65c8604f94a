"""Objectives against loops: what is ignored, smoothing, means over nothing, the total."""

from __future__ import annotations

import naive
import pytest
import torch
from part_case import normal, same, same_gradients, valid_until
from torch import Tensor

from mmspec.compiler.parts.objective import (
    contrastive,
    cross_entropy,
    next_token,
    present,
    smoothed_cross_entropy,
    total_loss,
    weighted_loss,
)

CLASSES = 5


def surprise(logits: naive.Vector, target: int, smoothing: float = 0.0) -> Tensor:
    """-sum of q log p, q the smoothed target."""
    shares = naive.softmax(logits)
    q = [smoothing / len(shares)] * len(shares)
    q[target] += 1 - smoothing
    return -naive.total(
        [weight * torch.log(share) for weight, share in zip(q, shares, strict=True)]
    )


def mean(terms: list[Tensor]) -> Tensor:
    """The mean of some losses, 0 of none."""
    return naive.total(terms) / max(len(terms), 1)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("targets", [[4, 0, 2], [-100, 0, -100], [-100, -100, -100]])
def test_cross_entropy(targets: list[int], smoothing: float) -> None:
    logits = normal(3, CLASSES)
    terms = [
        surprise(row, target, smoothing)
        for row, target in zip(naive.vectors(logits), targets, strict=True)
        if target != -100
    ]
    target = torch.tensor(targets)
    found = smoothed_cross_entropy(logits, target, smoothing)
    assert smoothing or torch.equal(found, cross_entropy(logits, target))
    if terms:
        same_gradients(found, mean(terms), [logits])
    else:
        (gradient,) = torch.autograd.grad(found, logits)
        assert found.item() == 0 and torch.equal(gradient, torch.zeros_like(logits))


@pytest.mark.parametrize("lengths", [None, [5, 2, 1], [1, 0, 1]])
def test_next_token(lengths: list[int] | None) -> None:
    logits = normal(3, 5, CLASSES)
    ids = torch.tensor([[4, 0, 2, 1, 3], [1, -100, 2, 2, 0], [3, 4, -100, 1, 1]])
    valid = None if lengths is None else valid_until(lengths, 5)
    terms = [
        surprise(list(logits[b, t].unbind()), int(ids[b, t + 1]))
        for b in range(3)
        for t in range(4)
        if ids[b, t + 1] != -100 and t + 1 < (lengths or [5, 5, 5])[b]
    ]
    found = next_token(logits, ids, valid)
    assert len(terms) == (10 if lengths is None else {8: 4, 2: 0}[sum(lengths)])
    if terms:
        same_gradients(found, mean(terms), [logits])
    else:
        assert found.item() == 0
    if valid is not None:
        out_of_range = ids.masked_fill(~valid, 10**6)
        same(next_token(logits, out_of_range, valid), found)


@pytest.mark.parametrize("tokens", [0, 1])
def test_next_token_of_a_text_too_short(tokens: int) -> None:
    found = next_token(normal(3, tokens, CLASSES), torch.zeros(3, tokens, dtype=torch.int64), None)
    assert found.item() == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [([1, 1, 1], [1, 1, 1]), ([1, 1, 0], [1, 1, 1]), ([1, 1, 0], [0, 1, 1]), ([0] * 3, [1] * 3)],
)
def test_contrastive(first: list[int], second: list[int]) -> None:
    logits = normal(3, 3)
    both = [i for i in range(3) if first[i] and second[i]]
    rows = naive.vectors(logits)
    along = [surprise([rows[i][j] for j in both], at) for at, i in enumerate(both)]
    down = [surprise([rows[i][j] for i in both], at) for at, j in enumerate(both)]
    found = contrastive(logits, torch.tensor(first) > 0, torch.tensor(second) > 0)
    expected = (mean(along) + mean(down)) / 2
    if len(both) > 1:
        same_gradients(found, expected, [logits])
    else:
        same(found, expected)
        (gradient,) = torch.autograd.grad(found, logits)
        assert torch.equal(gradient, torch.zeros_like(logits))


def test_present_is_having_a_token() -> None:
    x = normal(3, 2, 1)
    assert present(x, valid_until([2, 1, 0], 2)).tolist() == [True, True, False]
    assert present(x, None).tolist() == [True] * 3
    assert present(x[:, :0], None).tolist() == [False] * 3


def test_the_total_is_weighted_losses_and_all_auxiliary() -> None:
    one, two, three = (torch.tensor(value) for value in (1.0, 20.0, 300.0))
    assert total_loss({}, three) is None
    assert weighted_loss({}, {"a": 2.0}, three) is None
    plain = total_loss({"a": one, "b": two}, three)
    assert plain is not None and plain.item() == 321
    weighted = weighted_loss({"a": one, "b": two}, {"b": 0.5, "c": 7.0}, three)
    assert weighted is not None and weighted.item() == 311
