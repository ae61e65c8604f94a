"""Attention of blocks and fusions against loops: who is seen, key heads, rotation, empty rows."""

from __future__ import annotations

import math
from dataclasses import replace

import naive
import pytest
import torch
from part_case import attention, filled, normal, same, same_gradients, valid_until, weights
from torch import Tensor

from mmspec.compiler.parts.attention import (
    Attention,
    visible,
    visible_keys,
)
from mmspec.compiler.parts.cross import CrossAttention
from mmspec.compiler.parts.rotary import rotate, rotation

NO_TURN = (torch.ones(0), torch.zeros(0))
B, T, D = 2, 5, 12


def sight(mask: Tensor | None, sample: int, queries: int, keys: int) -> list[list[bool]]:
    """A mask [B or 1, 1, Tq or 1, Tk] as nested lists for one sample; None: all is seen."""
    if mask is None:
        return [[True] * keys] * queries
    row = mask[sample if mask.shape[0] > 1 else 0, 0]
    found: list[list[bool]] = row.expand(queries, keys).tolist()
    return found


def holes(*shape: int) -> Tensor:
    """A mask with some of everything: row 1 of each sample sees nothing."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(5)) > 0.4
    mask[..., 1, :] = False
    return mask


def both(
    part: Attention,
    mask: Tensor | None,
    positions: list[int] | None,
    w: dict[str, Tensor] | None = None,
) -> None:
    """Assert that the part and the loops give the same for x [B, T, D], with gradients.

    w: the weights of the loops, where they are not called as the part's.
    """
    x = normal(B, T, D)
    turn = NO_TURN if positions is None else rotation(torch.tensor(positions), part.head_width)
    sizes = (part.heads, part.kv_heads, part.head_width)
    expected = [
        naive.stacked(
            naive.self_attention(
                w or weights(part), naive.vectors(x[b]), sight(mask, b, T, T), sizes, positions
            )
        )
        for b in range(B)
    ]
    found = part(x, mask, turn, None, ())
    same_gradients(found, torch.stack(expected), [x, *part.parameters()])


@pytest.mark.parametrize(
    ("heads", "kv_heads", "head_width"), [(3, 3, 4), (6, 3, 2), (6, 2, 2), (3, 1, 4), (2, 1, 7)]
)
@pytest.mark.parametrize("masked", [False, True], ids=["full", "masked"])
def test_heads_share_keys(heads: int, kv_heads: int, head_width: int, masked: bool) -> None:
    part = filled(Attention(D, attention(heads, kv_heads, head_width)))
    both(part, holes(B, 1, T, T) if masked else None, None)


def test_the_projection_holds_queries_keys_and_values_in_that_order() -> None:
    part = Attention(D, attention(6, 2, 5))
    assert part.qkv.weight.shape == ((6 + 2 * 2) * 5, D)
    assert part.output.weight.shape == (D, 6 * 5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("some", ["query", "key", "value", "query key", "key value", "query value"])
def test_some_of_queries_keys_and_values_have_a_bias(some: str, bias: bool) -> None:
    excepted = tuple(some.split())
    part = filled(Attention(D, replace(attention(6, 2, 3, bias=bias), excepted=excepted)))
    rows = {"query": 18, "key": 6, "value": 6}
    held = {role: count for role, count in rows.items() if bias != (role in excepted)}
    pieces = dict(zip(held, weights(part)["qkv.bias"].split(list(held.values())), strict=True))
    whole = [pieces.get(role, torch.zeros(count).double()) for role, count in rows.items()]
    assert ("output.bias" in weights(part)) is bias
    both(part, None, None, weights(part) | {"qkv.bias": torch.cat(whole)})


def test_rows_with_a_bias_start_as_those_of_a_linear() -> None:
    part = Attention(100, replace(attention(6, 2, 30), excepted=("key",)))
    for weight in (weights(part)["qkv.weight"], weights(part)["qkv.bias"]):
        assert 0.099 < weight.abs().max() <= 0.1 and abs(weight.mean()) < 0.02


@pytest.mark.parametrize("bias", [True, False])
def test_bias_is_a_choice(bias: bool) -> None:
    part = filled(Attention(D, attention(bias=bias)))
    assert {name for name in weights(part) if "bias" in name} == (
        {"qkv.bias", "output.bias"} if bias else set()
    )
    both(part, holes(1, 1, T, T), None)


def test_causal_sees_itself_and_what_came_before() -> None:
    part = filled(Attention(D, attention(causal=True)))
    x = normal(B, T, D)
    sees = [[k <= q for k in range(T)] for q in range(T)]
    expected = [
        naive.stacked(naive.self_attention(weights(part), naive.vectors(x[b]), sees, (3, 3, 4)))
        for b in range(B)
    ]
    found = part(x, None, NO_TURN, None, ())
    same_gradients(found, torch.stack(expected), [x, *part.parameters()])


@pytest.mark.parametrize("positions", [[0, 1, 2, 3, 4], [0, 0, 0, 1, 2]], ids=["own", "mixed"])
def test_rotary_turns_queries_and_keys(positions: list[int]) -> None:
    part = filled(Attention(D, attention(3, 1, 6, rotary=True)))
    both(part, holes(B, 1, T, T), positions)


def test_rotation_angles() -> None:
    cos, sin = rotation(torch.tensor([0, 1, 11]), 6)
    for row, t in enumerate((0, 1, 11)):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert cos[row, i].item() == pytest.approx(math.cos(angle), abs=1e-12)
            assert sin[row, i].item() == pytest.approx(math.sin(angle), abs=1e-12)


def test_rotation_depends_on_the_distance_alone() -> None:
    q, k = normal(1, 1, 1, 6), normal(1, 1, 1, 6)

    def score(at: int, other: int) -> Tensor:
        turns = [rotation(torch.tensor([p]), 6) for p in (at, other)]
        return (rotate(q, turns[0]) * rotate(k, turns[1])).sum()

    same(score(7, 3), score(104, 100))
    assert (score(7, 3) - score(3, 7)).abs() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_row_that_sees_nothing_is_zero_before_the_output(dtype: torch.dtype) -> None:
    part = filled(Attention(D, attention())).to(dtype)
    x = normal(B, T, D).detach().to(dtype).requires_grad_()
    mask = holes(B, 1, T, T)
    out = part(x, mask, NO_TURN, None, ())
    bias = part.output.bias
    assert torch.equal(out[:, 1], bias.expand(B, D))
    (gradient,) = torch.autograd.grad(out[:, 1].sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))
    (whole,) = torch.autograd.grad(part(x, mask, NO_TURN, None, ()).sum(), x)
    assert whole.isfinite().all()


def test_visible_keys_are_valid_and_shown() -> None:
    valid, mask = valid_until([3, 0], T), holes(T, T)
    found, plain = visible(mask, valid), visible_keys(valid)
    assert plain is not None
    for b in range(B):
        for q in range(T):
            for k in range(T):
                assert found[b, 0, q, k] == (mask[q, k] and k < [3, 0][b])
                assert plain[b, 0, 0, k] == (k < [3, 0][b])
    assert torch.equal(visible(mask, None)[0, 0], mask)
    assert visible_keys(None) is None


@pytest.mark.parametrize("heads", [1, 3, 6])
@pytest.mark.parametrize("kind", ["full", "padded", "masked"])
def test_cross_attention(heads: int, kind: str) -> None:
    part, x, context = filled(CrossAttention(D, heads)), normal(B, 3, D), normal(B, 7, D)
    mask = {
        "full": None,
        "padded": visible_keys(valid_until([4, 0], 7)),
        "masked": visible(holes(3, 7), valid_until([7, 2], 7)),
    }[kind]
    expected = [
        naive.stacked(
            naive.cross_attention(
                weights(part),
                naive.vectors(x[b]),
                naive.vectors(context[b]),
                sight(mask, b, 3, 7),
                heads,
            )
        )
        for b in range(B)
    ]
    found = part(x, context, mask, None, ())
    same_gradients(found, torch.stack(expected), [x, context, *part.parameters()])


def test_cross_attention_to_nothing_adds_exactly_zero() -> None:
    part, x = filled(CrossAttention(D, 3)), normal(B, 3, D)
    assert set(weights(part)) == {
        *("norm_query.weight", "norm_query.bias", "norm_context.weight", "norm_context.bias"),
        *("query.weight", "query.bias", "key_value.weight", "key_value.bias", "output.weight"),
    }
    empty = part(x, normal(B, 0, D), None, None, ())
    assert torch.equal(empty, torch.zeros(B, 3, D, dtype=torch.float64))
    unseen = part(x, normal(B, 7, D), visible_keys(valid_until([0, 0], 7)), None, ())
    assert torch.equal(unseen, empty)
    (gradient,) = torch.autograd.grad(unseen.sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))
