"""The bounds of P55: silent on right numbers, loud on wrong ones, by figures from elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mmspec.verify.faults.specs import CROSSED, STARTED, TOWERS
from mmspec.verify.lab.starting import drawn_of, unequal
from mmspec.verify.reference.init import Start, starts
from mmspec.verify.strategies import load

STARTS = (Start("normal", 0.02), Start("uniform", 0.3), Start("truncated", 0.1))


def drawn(start: Start, count: int) -> Tensor:
    """By torch's own functions."""
    empty = torch.empty(count)
    if start.law == "uniform":
        return nn.init.uniform_(empty, -start.scale, start.scale)
    if start.law == "truncated":
        return nn.init.trunc_normal_(empty, std=start.scale, a=-2 * start.scale, b=2 * start.scale)
    return nn.init.normal_(empty, std=start.scale)


def told(start: Start, values: Tensor) -> str | None:
    return drawn_of(values, start).wrong()


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.law)
def test_right_numbers_are_never_told(start: Start) -> None:
    torch.manual_seed(7)
    for count in (1, 2, 3, 5, 17, 100, 5000):
        for _ in range(300 if count < 5000 else 30):
            assert told(start, drawn(start, count)) is None, count


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.law)
def test_wrong_numbers_are_told(start: Start) -> None:
    torch.manual_seed(7)
    values = drawn(start, 4096)
    assert "a deviation of" in str(told(start, values * 1.25))
    assert "a deviation of" in str(told(start, values * 0.8))
    assert "a deviation of" in str(told(start, values * 1000))
    assert "a mean of" in str(told(start, values * 0.95 + 0.2 * start.deviation))
    assert "a deviation of" in str(told(start, torch.zeros(4096)))
    for other in STARTS:
        alike = drawn(other, 4096) / other.deviation * start.deviation
        assert (told(start, alike) is None) == (other.law == start.law), other.law


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.law)
def test_the_moments_of_a_start_are_those_of_its_density(start: Start) -> None:
    """By a sum over its density; the deviation of a normal cut at two is a known figure."""
    x = torch.linspace(-6, 6, 2_400_001, dtype=torch.float64)
    density = torch.ones_like(x) if start.law == "uniform" else torch.exp(-x * x / 2)
    if start.law != "normal":
        density[x.abs() > (1 if start.law == "uniform" else 2)] = 0
    density /= density.sum()
    assert start.deviation / start.scale == pytest.approx(
        math.sqrt(float((density * x * x).sum())), rel=1e-5
    )
    for share in (0.3, 0.01):
        beyond = float(density[x.abs() > start.beyond(share) / start.scale].sum())
        assert beyond == pytest.approx(share, rel=1e-3)
    assert start.inside == pytest.approx(float(density[x.abs() <= 0.5].sum()), rel=1e-5)


def test_a_constant_is_what_it_is() -> None:
    assert unequal(torch.ones(3), Start("constant", 1.0)) is None
    assert unequal(torch.tensor([1.0, 0.5]), Start("constant", 1.0)) == "holds 0.5, not 1"
    assert unequal(torch.tensor([float("nan")]), Start("constant", 1.0)) is not None


def scales(text: str, init: str) -> dict[str, float]:
    return {
        n: s.scale for n, s in starts(load(text.replace("init: gpt2", f"init: {init}"))).items()
    }


def test_what_is_added_by_depth() -> None:
    """By hand: two blocks of experts, one of latents, two of a fusion, three steps of one."""
    found = {name: start.scale for name, start in starts(load(STARTED)).items()}
    smaller = {name: 0.02 / scale for name, scale in found.items() if 0 < scale < 0.02}
    expected = {
        **{f"text_stream.blocks.{i}.attention.output.weight": 4 for i in range(2)},
        **{f"text_stream.blocks.{i}.feed_forward.down": 4 for i in range(2)},
        "asked_stream.blocks.0.attention.output.weight": 2,
        "asked_stream.blocks.0.feed_forward.down.weight": 2,
        **{f"joint_fusion.blocks.{i}.attention.output.weight": 4 for i in range(2)},
        **{f"joint_fusion.blocks.{i}.feed_forward.down.weight": 4 for i in range(2)},
        "joint_stream.blocks.0.attention.output.weight": 6,
        "joint_stream.blocks.0.feed_forward.text_mlp.down.weight": 6,
        "joint_stream.blocks.0.feed_forward.asked_mlp.down.weight": 6,
    }
    assert smaller == pytest.approx({name: math.sqrt(n) for name, n in expected.items()})


def test_what_starts_by_its_inputs() -> None:
    found = starts(load(STARTED.replace("init: gpt2\n", "")))
    third = found["text_stream.blocks.0.feed_forward.up"]
    assert third == Start("normal", 12**-0.5)
    assert found["text_stream.blocks.0.feed_forward.down"] == Start("normal", 14**-0.5)
    assert found["text_stream.blocks.0.feed_forward.router.weight"] == Start("uniform", 12**-0.5)
    assert found["joint_stream.halt.bias"] == Start("uniform", 12**-0.5)
    assert found["text_embedding.position"] == Start("normal", 0.02)
    assert found["asked_fusion.queries"] == Start("normal", 0.02)
    assert found["joint_fusion.source"] == Start("normal", 0.02)
    assert found["row_embedding.weight"] == Start("normal", 1.0)
    assert found["row_embedding.bias"] == Start("constant", 0.0)
    assert found["row_embedding.categories.weight"] == Start("normal", 1.0)
    assert starts(load(CROSSED))["image_embedding_reader.patch.bias"] == Start("uniform", 0.5)
    towers = starts(load(TOWERS))
    assert towers["match_head.scale"] == Start("constant", math.log(5))
    assert towers["match_head.image_projection.weight"] == Start("uniform", 12**-0.5)
