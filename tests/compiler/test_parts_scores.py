"""Relative scores: slopes as published, and what is added for how far tokens are apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from part_case import attention, filled, normal, same, weights
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import Attention
from mmspec.compiler.parts.scores import (
    Alibi,
    Buckets,
    Offsets,
    alibi_slopes,
    offsets,
    scored,
    scored_lines,
)

PUBLISHED = {
    1: [1 / 256],
    2: [1 / 16, 1 / 256],
    6: [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8],
    8: [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256],
}
"""Of the paper (8 heads) and of the code that its authors gave with it."""


@pytest.mark.parametrize("heads", PUBLISHED)
def test_slopes_are_those_published(heads: int) -> None:
    assert torch.allclose(alibi_slopes(heads), torch.tensor(PUBLISHED[heads]).double(), rtol=1e-15)


def test_heads_past_a_power_of_two_take_every_second_slope_of_twice_as_many() -> None:
    found = alibi_slopes(20)
    assert torch.equal(found[:16], alibi_slopes(16))
    assert torch.allclose(found[16:], alibi_slopes(32)[:8:2], rtol=1e-15)


def test_a_slope_is_rounded_once() -> None:
    layer = Alibi(12)
    assert torch.equal(layer.bfloat16().double().slopes_h, alibi_slopes(12))
    assert not layer.state_dict()


@pytest.mark.parametrize("distance", [0, 1, 7, 8, 11, 12, 15, 16, 22, 23, 45, 46, 63, 64, 90])
def test_ranges_are_those_of_t5(distance: int) -> None:
    both, one = ir.Buckets(32, 128, 2), ir.Buckets(32, 128, 1)
    far = [8, 12, 16, 23, 32, 46, 64, 91]
    assert both.starts == (*range(1, 8), *far)
    assert one.starts[:17] == (*range(1, 17), 19) and one.starts[-1] == 113
    layer = Buckets(1, both).double()
    layer.weight.data.copy_(torch.arange(32.0)[:, None])
    expected = distance if distance < 8 else 7 + sum(distance >= start for start in far)
    found = layer(torch.tensor([distance, -distance, 10**6, -(10**6)]))
    later = 16 + expected if distance else 0
    assert found.tolist() == [[expected, later, 15, 31]]


def test_one_side_has_all_ranges_and_what_comes_later_the_first() -> None:
    layer = Buckets(1, ir.Buckets(6, 9, 1)).double()
    layer.weight.data.copy_(torch.arange(6.0)[:, None])
    # the last begin at 3, 3 * 3 ** (1 / 3) = 4.3, and 6.2
    found = layer(torch.tensor([-5, -1, 0, 1, 2, 3, 4, 5, 6, 7, 40]))
    assert found.tolist() == [[0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 5]]


def test_each_distance_has_a_number_up_to_reach() -> None:
    layer = Offsets(1, ir.Offsets(2)).double()
    layer.weight.data.copy_(torch.arange(5.0)[:, None])
    assert layer(torch.tensor([[-9, -2, -1], [0, 1, 7]])).tolist() == [[[0, 0, 1], [2, 3, 4]]]


def test_what_is_as_far_away_loses_as_much() -> None:
    found = Alibi(2).double()(offsets(4, torch.device("cpu")))
    for head, slope in enumerate((1 / 16, 1 / 256)):
        for q in range(4):
            assert found[head, q].tolist() == [-slope * abs(q - k) for k in range(4)]


def test_tokens_of_two_segments_have_no_relative_score() -> None:
    layer, device = Alibi(2).double(), torch.device("cpu")
    found = scored_lines(layer, (3, 2, 4), (True, False, True), device)
    assert found.shape == (2, 9, 9)
    expected = torch.block_diag(
        *(layer(offsets(n, device))[1] * on for n, on in ((3, 1), (2, 0), (4, 1)))
    )
    assert torch.equal(found[1], expected)


def test_a_hidden_key_stays_hidden_by_head_and_sample() -> None:
    scores = torch.randn(2, 3, 3)
    mask = torch.rand(4, 1, 3, 3) > 0.5
    found = scored(scores, mask)
    assert found.shape == (4, 2, 3, 3)
    assert torch.equal(found.isinf(), ~mask.expand(-1, 2, -1, -1))
    assert torch.equal(scored(scores, None)[0], scores)


@pytest.mark.parametrize("together", [False, True])
def test_queries_and_keys_are_normed_by_head_or_together(together: bool) -> None:
    """Against loops over tokens and heads; the scale stands for one over the root of the width."""
    heads, kv_heads, w, eps = 4, 2, 3, 0.3
    scores = ir.Scores(scale=0.7, norm=ir.RmsNorm(eps), together=together)
    of = replace(attention(heads, kv_heads, w, bias=False), scores=scores)
    part = filled(Attention(5, of))
    x_btd, rows = normal(1, 6, 5), weights(part)
    qkv = (x_btd[0] @ rows["qkv.weight"].T).unflatten(-1, (-1, w))

    def normed(tensors: Tensor, weight: Tensor) -> Tensor:
        one = tensors.flatten() if together else tensors
        found = one / ((one * one).mean(-1, keepdim=True) + eps) ** 0.5 * weight
        return found.view_as(tensors)

    q = torch.stack([normed(each[:4], rows["query_norm.weight"]) for each in qkv])
    k = torch.stack([normed(each[4:6], rows["key_norm.weight"]) for each in qkv])
    read = [
        (0.7 * q[:, head] @ k[:, head // 2].T).softmax(-1) @ qkv[:, 6 + head // 2]
        for head in range(heads)
    ]
    expected = torch.cat(read, -1) @ rows["output.weight"].T
    found = part(x_btd, None, (torch.ones(0), torch.zeros(0)), None, ())
    same(found[0], expected)
