"""Norms against loops over the features of one token."""

from __future__ import annotations

import naive
import pytest
import torch
from part_case import filled, normal, same, same_gradients, weights
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.norm import GroupNorm, OffsetLayerNorm, RmsNorm, norm_layer

B, T, GROUPS, RUN = 2, 5, 7, 3


def test_rms_norm_starts_at_one_and_divides_by_the_root_mean_square() -> None:
    part, x = (
        RmsNorm(3, ir.RmsNorm(0.25)).double(),
        torch.tensor([[3.0, -4.0, 0.0]], dtype=torch.float64),
    )
    assert part.weight.tolist() == [1, 1, 1]
    scale = (25 / 3 + 0.25) ** -0.5
    same(part(x), torch.tensor([[3 * scale, -4 * scale, 0]], dtype=torch.float64))


@pytest.mark.parametrize("bias", [True, False])
def test_a_group_norm_is_of_each_run_of_features_of_each_token(bias: bool) -> None:
    norm = ir.GroupNorm(0.01, bias, GROUPS)
    part, x = filled(norm_layer(GROUPS * RUN, norm)), normal(B, T, GROUPS * RUN)
    assert weights(part).keys() == ({"weight", "bias"} if bias else {"weight"})
    w = {f"n.{name}": value for name, value in weights(part).items()}
    rows = [[naive.norm(w, "n", v, 0.01, "group", GROUPS) for v in naive.vectors(y)] for y in x]
    expected = torch.stack([naive.stacked(each) for each in rows])
    same_gradients(part(x), expected, [x, *part.parameters()])


def test_a_group_norm_starts_as_torchs() -> None:
    part, x = GroupNorm(6, ir.GroupNorm(1e-5, True, 3)).double(), normal(2, 4, 6)
    same(part(x)[1, 3], torch.nn.GroupNorm(3, 6).double()(x[1, 3:])[0])
    part.weight.data.mul_(2)
    part.reset_parameters()
    assert part.weight.tolist() == [1] * 6


@pytest.mark.parametrize(
    "norm",
    [
        ir.RmsNorm(0.01, offset=1),
        ir.LayerNorm(0.01, True, offset=1),
        ir.GroupNorm(0.01, False, 2, offset=1),
    ],
)
def test_a_weight_may_be_kept_less_one(norm: ir.Norm) -> None:
    part, x = norm_layer(6, norm), normal(B, T, 6)
    assert weights(part)["weight"].tolist() == [0] * 6
    groups = norm.groups if isinstance(norm, ir.GroupNorm) else 1
    part = filled(part)
    assert isinstance(part, RmsNorm | OffsetLayerNorm | GroupNorm)
    part.reset_parameters()
    assert weights(part)["weight"].tolist() == [0] * 6
    part = filled(part)
    w = {f"n.{name}": value + (name == "weight") for name, value in weights(part).items()}
    rows = [[naive.norm(w, "n", v, 0.01, norm.name, groups) for v in naive.vectors(y)] for y in x]
    expected = torch.stack([naive.stacked(each) for each in rows])
    same_gradients(part(x), expected, [x, *part.parameters()])


@pytest.mark.parametrize("change", ["another token", "another group", "another sample"])
def test_a_group_of_a_token_hangs_on_nothing_else(change: str) -> None:
    part, x = filled(GroupNorm(6, ir.GroupNorm(1e-5, True, 2))), normal(3, 4, 6).detach()
    other = x.clone()
    moved: Tensor = {
        "another token": other[1, 2],
        "another group": other[1, 3, 3:],
        "another sample": other[0],
    }[change]
    moved.add_(1 + torch.rand_like(moved))
    assert torch.equal(part(x)[1, 3, :3], part(other)[1, 3, :3])


def test_one_token_and_none_at_all() -> None:
    part = GroupNorm(4, ir.GroupNorm(1e-5, True, 2))
    assert part(torch.ones(1, 1, 4)).tolist() == [[[0] * 4]]
    assert part(torch.ones(0, 3, 4)).shape == (0, 3, 4)
    assert part(torch.ones(2, 0, 4)).shape == (2, 0, 4)
