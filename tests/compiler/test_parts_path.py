"""Steps of a path against loops: squares, edges, groups, and where features stand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from part_case import filled, normal, same
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.ir.path import grids, reads
from mmspec.compiler.lower.path import Given, lower
from mmspec.compiler.parts.modality import ImageEmbedding
from mmspec.compiler.parts.norm import BatchNorm
from mmspec.compiler.parts.path import Path
from mmspec.expressions.mask import unparse
from mmspec.schema.modality import Image

CHANNELS, HEIGHT, WIDTH = 2, 10, 14


def image(*steps: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Image:
    given: Any = {"kind": "image", "size": size, "channels": CHANNELS, "stem": steps}
    return Image.model_validate(given)


def path(*steps: str) -> ir.Path:
    return lower(image(*steps).stem or (), Given(CHANNELS, first=True))


def inside(x: Tensor, row: int, column: int) -> bool:
    return 0 <= row < x.shape[2] and 0 <= column < x.shape[3]


def test_a_convolution_is_a_sum_over_squares() -> None:
    """Rows 2 apart in squares that stand 2 apart; each half of the features by itself."""
    part: Any = filled(Path(path("convolution(4, kernel=3, stride=2, dilation=2, groups=2)")))
    x = normal(1, CHANNELS, HEIGHT, WIDTH)
    weight, bias = part.convolution.weight.detach(), part.convolution.bias.detach()
    y = part(x)
    assert y.shape == (1, 4, HEIGHT // 2, WIDTH // 2)
    for feature, row, column in ((0, 0, 0), (1, 2, 3), (3, 4, 6)):
        wanted = float(bias[feature])
        for i in range(3):
            for j in range(3):
                at = 2 * row + 2 * i - 2, 2 * column + 2 * j - 2
                if inside(x, *at):
                    wanted += float(weight[feature, 0, i, j] * x[0, feature // 2, at[0], at[1]])
        assert float(y[0, feature, row, column]) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_what_is_added_is_no_part_of_a_mean(kind: str) -> None:
    x = normal(1, CHANNELS, HEIGHT, WIDTH) - 5
    y = Path(path(f"{kind}(kernel=3)"))(x)
    for row, column in ((0, 0), (0, 5), (9, 13), (4, 4)):
        square = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        there = [float(x[0, 1, i, j]) for i, j in square if inside(x, i, j)]
        wanted = max(there) if kind == "max" else math.fsum(there) / len(there)
        assert float(y[0, 1, row, column]) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("present", [None, (1, 0, 1, 1, 0), (0, 0, 0, 0, 0)])
def test_a_batch_norm_is_that_of_torch_over_what_is_there(present: tuple[int, ...] | None) -> None:
    """What is not there is NaN; where nothing is, what is kept is used and stays as it was."""
    part = BatchNorm(ir.BatchNormStep("", CHANNELS, False, 1e-3, 0.3)).double()
    peer = torch.nn.BatchNorm2d(CHANNELS, 1e-3, 0.3, dtype=torch.float64)
    state = {name: normal(*value.shape).detach().exp() for name, value in part.state_dict().items()}
    part.load_state_dict(state)
    peer.load_state_dict(state, strict=False)
    x = normal(5, CHANNELS, 3, 4).detach()
    present_b = None if present is None else torch.tensor(present)
    there_b = torch.ones(5) > 0 if present_b is None else present_b > 0
    x[~there_b] = math.nan
    peer.train(bool(there_b.any()))
    same(part(x, present_b)[there_b], peer(x[there_b]))
    for name, value in part.state_dict().items():
        same(value, peer.state_dict()[name])
    same(part.eval()(x, present_b)[there_b], peer.eval()(x[there_b]))


def test_of_one_number_a_batch_norm_keeps_nothing() -> None:
    part = BatchNorm(ir.BatchNormStep("", CHANNELS, False, 1e-3, 0.3)).double()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    x, one = normal(1, CHANNELS, 1, 1), torch.tensor([1])
    wanted = x / math.sqrt(1 + 1e-3)
    same(part(x, None), wanted)
    same(part(x, one), wanted)
    for name, value in part.state_dict().items():
        same(value, before[name])


@pytest.mark.parametrize("last", [(), ("norm", "gelu")])
def test_tokens_stand_row_by_row(last: tuple[str, ...]) -> None:
    """Wherever features stand at the end of the path."""
    steps = path("convolution(5, kernel=2, stride=2)", *last)
    grid = HEIGHT // 2, WIDTH // 2
    sizes = CHANNELS, HEIGHT, WIDTH
    part = filled(ImageEmbedding(sizes, grid, 2, 5, ir.Sum(ir.Position("none")), True, steps))
    x = normal(3, CHANNELS, HEIGHT, WIDTH)
    y: Tensor = part.stem(x)
    same(part(x, None, {}), (y if last else y.movedim(1, -1)).flatten(1, 2))


def test_sizes_and_whose_pixels_a_token_is_made_of() -> None:
    steps = path("mean(kernel=2, stride=2)", "convolution(3, kernel=5)", "max(kernel=3)")
    assert [(rows, columns) for _, rows, columns in grids(steps, HEIGHT, WIDTH)] == [(5, 7)] * 3
    found = reads(steps)
    assert found is not None
    assert unparse(found) == "window2d(radius=3)"
    assert reads(path("convolution(3, kernel=2, stride=2)", "linear(4)")) is None


def test_what_lies_past_a_length_is_0_to_convolutions_over_time() -> None:
    """A sample behind which more stands gives what it gives alone."""
    first = ir.ConvolutionStep("one", 3, True, 3, 1, 1, 4, 1, 1, True, 1, 0)
    second = ir.ConvolutionStep("two", 4, False, 3, 2, 1, 5, 1, 1, True, 1, 1)
    third = ir.ConvolutionStep("three", 5, False, 5, 2, 2, 2, 1, 1, True, 1, 2)
    part = Path((first, second, third)).double()
    x = torch.randn(1, 12, 3, dtype=torch.float64)
    for length in range(1, 13):
        real = torch.arange(12)[None] < length
        whole, alone = part(x * real[..., None], real), part(x[:, :length])
        assert alone.shape[2] == -(-length // 4)
        torch.testing.assert_close(whole[..., : alone.shape[2]], alone)
