"""Embeddings against loops: order inside a patch, frames past the end, offsets, positions."""

from __future__ import annotations

import math
from collections.abc import Callable

import naive
import pytest
import torch
from part_case import filled, normal, same, same_gradients, weights
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.modality import (
    FrameEmbedding,
    ImageEmbedding,
    TableEmbedding,
    TokenEmbedding,
    VideoEmbedding,
    absent,
    valid_tokens,
    valid_whole,
)
from mmspec.compiler.parts.position import Places, sincos, sincos_2d

D = 12
UNUSED = torch.zeros(0, dtype=torch.int64)
"""Positions in documents, of what is not packed."""


def wave(t: int, width: int) -> list[float]:
    """P[t, 2i] = sin(t / 10000^(2i/D)), P[t, 2i+1] = cos(the same)."""
    angles = [t / 10000 ** (2 * (i // 2) / width) for i in range(width)]
    return [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]


def grid_wave(row: int, column: int) -> list[float]:
    """Row over the first half of the width, column over the second."""
    return wave(row, D // 2) + wave(column, D // 2)


def halves(t: int, steps: int) -> list[float]:
    """All sines, then all cosines, of t / 10000^(i/steps)."""
    angles = [t / 10000 ** (i / steps) for i in range(D // 2)]
    return [*map(math.sin, angles), *map(math.cos, angles)]


def sides(halves: list[float]) -> list[float]:
    """Sines and cosines side by side."""
    pairs = zip(halves[: D // 2], halves[D // 2 :], strict=True)
    return [x for pair in pairs for x in pair]


POSITIONS = {
    "learned from 2": ir.Position("learned", 2),
    "halves from 3": ir.Position("sincos", 3, interleaved=False),
    "endpoint": ir.Position("sincos", endpoint=True),
}


def placed(position: str) -> ir.Sum:
    """A position by its name here or in the language."""
    return ir.Sum(POSITIONS.get(position) or ir.Position(position))


def places(part: nn.Module, position: str, tokens: int, columns: int = 1) -> Tensor:
    """What a position adds to each token."""
    if placed(position).position.kind == "learned":
        offset = placed(position).position.offset
        return part.get_parameter("position")[offset : offset + tokens]
    made: dict[str, Callable[[int], list[float]]] = {
        "sincos": lambda t: wave(t, D),
        "halves from 3": lambda t: halves(t + 3, D // 2),
        "endpoint": lambda t: sides(halves(t, D // 2 - 1)),
        "sincos-2d": lambda t: grid_wave(t // columns, t % columns),
    }
    rows = [made[position](t) if position in made else [0.0] * D for t in range(tokens)]
    return torch.tensor(rows, dtype=torch.float64)


def test_sincos_interleaves() -> None:
    expected = torch.tensor([wave(t, 6) for t in (0, 1, 17)], dtype=torch.float64)
    same(sincos(torch.tensor([0, 1, 17]), 6), expected)
    rows = [grid_wave(row, column) for row in range(3) for column in range(5)]
    found = sincos_2d(torch.arange(15), 5, D)
    same(found, torch.tensor(rows, dtype=torch.float64))


@pytest.mark.parametrize("columns", [0, 5])
def test_tables_of_positions_are_made_anew_where_a_model_is_moved(columns: int) -> None:
    places_t = torch.tensor([[0, 14, 3]])
    rows = [grid_wave(*divmod(t, 5)) if columns else wave(t, D) for t in (0, 14, 3)]
    expected = torch.tensor([rows], dtype=torch.float64)
    places = Places(15, D, columns)
    assert not places.state_dict()
    assert places.bfloat16()(places_t).dtype == torch.bfloat16
    same(places.double()(places_t), expected)
    with torch.device("meta"):
        places = Places(15, D, columns).double()
    same(places.to_empty(device="cpu")(places_t), expected)


def test_tables_of_very_many_positions_are_not_kept() -> None:
    long = Places(10**9, D)
    assert not list(long.buffers())
    same(long(torch.tensor([70_000])), torch.tensor([wave(70_000, D)], dtype=torch.float64))


@pytest.mark.parametrize("position", ["none", "learned", "sincos", "rotary", *POSITIONS])
def test_tokens(position: str) -> None:
    part = filled(TokenEmbedding(13, D, placed(position), 11))
    learned = {"position"} if "learned" in position else set()
    assert set(weights(part)) == {"table.weight"} | learned
    ids = torch.tensor([[4, 0, 12, 4, 1], [7, 7, 2, 0, 12]])
    rows = [[part.table.weight[int(i)] for i in row] for row in ids]
    expected = torch.stack([torch.stack(row) for row in rows]) + places(part, position, 5)
    same_gradients(part(ids, UNUSED, UNUSED, {}), expected, list(part.parameters()))


@pytest.mark.parametrize("position", ["none", "learned", "sincos", "rotary", *POSITIONS])
def test_positions_begin_anew_in_each_document(position: str) -> None:
    at = torch.tensor([[0, 1, 2, 0, 1], [0, 0, 1, 2, 3]])
    part = filled(TokenEmbedding(13, D, placed(position), 11, packed=True))
    ids = torch.tensor([[4, 0, 12, 4, 1], [7, 7, 2, 0, 12]])
    expected = part.table.weight[ids] + places(part, position, 5)[at]
    same_gradients(part(ids, UNUSED, at, {}), expected, list(part.parameters()))
    frames = filled(FrameEmbedding(2, 3, D, placed(position), 11, True, packed=True))
    x = normal(2, 15, 2)
    expected = frames.frames(x.reshape(2, 5, 6)) + places(frames, position, 5)[at]
    same_gradients(frames(x, None, at, {}), expected, list(frames.parameters()))


@pytest.mark.parametrize("position", ["none", "learned", "sincos", "sincos-2d", *POSITIONS])
@pytest.mark.parametrize(("channels", "rows", "columns", "patch"), [(3, 2, 5, 2), (1, 3, 2, 3)])
def test_a_patch_is_channel_row_column(
    channels: int, rows: int, columns: int, patch: int, position: str
) -> None:
    sizes = (channels, rows * patch, columns * patch)
    part = filled(ImageEmbedding(sizes, (rows, columns), patch, D, placed(position), True))
    pixels = normal(2, channels, rows * patch, columns * patch)
    tokens = []
    for b in range(2):
        for r in range(rows):
            for c in range(columns):
                flat = [
                    pixels[b, channel, r * patch + i, c * patch + j]
                    for channel in range(channels)
                    for i in range(patch)
                    for j in range(patch)
                ]
                tokens.append(naive.linear(weights(part), "patch", flat))
    count = rows * columns
    expected = naive.stacked(tokens).view(2, count, D) + places(part, position, count, columns)
    same_gradients(part(pixels, None, {}), expected, [pixels, *part.parameters()])


@pytest.mark.parametrize("position", ["none", "learned", "sincos"])
@pytest.mark.parametrize("lengths", [None, [7, 4, 0]])
@pytest.mark.parametrize("patch", [1, 3, 7, 11])
def test_frames_past_the_length_are_zero(
    patch: int, lengths: list[int] | None, position: str
) -> None:
    frames, features = 7, 5
    part = filled(FrameEmbedding(features, patch, D, placed(position), 13, True))
    x = normal(3, frames, features)
    length = None if lengths is None else torch.tensor(lengths)
    tokens = []
    count = math.ceil(frames / patch)
    for b in range(3):
        for t in range(count):
            flat = [
                x[b, frame, i] if frame < (lengths or [frames] * 3)[b] else naive.zero()
                for frame in range(t * patch, (t + 1) * patch)
                for i in range(features)
            ]
            tokens.append(naive.linear(weights(part), "frames", flat))
    expected = naive.stacked(tokens).view(3, count, D) + places(part, position, count)
    same_gradients(part(x, length, UNUSED, {}), expected, [x, *part.parameters()])


@pytest.mark.parametrize("position", ["none", "learned", "sincos", "sincos-2d"])
@pytest.mark.parametrize("lengths", [None, [3, 1, 0]])
@pytest.mark.parametrize("tubelet", [1, 2, 5])
def test_a_tubelet_is_frame_channel_row_column(
    tubelet: int, lengths: list[int] | None, position: str
) -> None:
    frames, channels, rows, columns, patch = 3, 2, 2, 3, 2
    sizes = (channels, rows * patch, columns * patch)
    deep = math.ceil(frames / tubelet)
    most = (deep + 1) * rows * columns
    part = filled(
        VideoEmbedding(sizes, (rows, columns), patch, tubelet, D, placed(position), most, True)
    )
    learned = {"position"} if "learned" in position else set()
    assert set(weights(part)) == {"patch.weight", "patch.bias"} | learned
    x = normal(3, frames, *sizes)
    tokens = []
    for b in range(3):
        for t in range(deep):
            for r in range(rows):
                for c in range(columns):
                    flat = [
                        x[b, frame, channel, r * patch + i, c * patch + j]
                        if frame < (lengths or [frames] * 3)[b]
                        else naive.zero()
                        for frame in range(t * tubelet, (t + 1) * tubelet)
                        for channel in range(channels)
                        for i in range(patch)
                        for j in range(patch)
                    ]
                    tokens.append(naive.linear(weights(part), "patch", flat))
    count = deep * rows * columns
    added = places(part, position, count, columns)
    if position == "sincos-2d":
        added = places(part, position, rows * columns, columns).repeat(deep, 1)
    expected = naive.stacked(tokens).view(3, count, D) + added
    length = None if lengths is None else torch.tensor(lengths)
    same_gradients(part(x, length, {}), expected, [x, *part.parameters()])


def test_a_video_may_have_no_frame_and_anything_past_its_length() -> None:
    part = filled(VideoEmbedding((1, 4, 6), (2, 3), 2, 2, D, placed("sincos-2d"), 12, True))
    assert part(
        torch.zeros(3, 0, 1, 4, 6).double(), torch.zeros(3, dtype=torch.int64), {}
    ).shape == (
        3,
        0,
        D,
    )
    x = normal(1, 3, 1, 4, 6).detach()
    spoilt = x.clone()
    spoilt[0, 1:] = torch.nan
    assert torch.equal(part(spoilt, torch.tensor([1]), {}), part(x, torch.tensor([1]), {}))


def test_frames_past_the_length_may_be_anything() -> None:
    part, x = filled(FrameEmbedding(2, 3, D, placed("none"), 4, True)), normal(1, 7, 2).detach()
    spoilt = x.clone()
    spoilt[0, 4:] = torch.nan
    assert torch.equal(
        part(spoilt, torch.tensor([4]), UNUSED, {}), part(x, torch.tensor([4]), UNUSED, {})
    )


@pytest.mark.parametrize("position", ["none", "learned"])
@pytest.mark.parametrize("columns", [(0, 3, 0, 5), (3, 0, 5), (0, 0, 0), (2, 7), (0,), (4,)])
def test_a_token_for_each_column_in_order(columns: tuple[int, ...], position: str) -> None:
    part = filled(TableEmbedding(columns, D, placed(position), True))
    codes = torch.tensor([[n - 1 for n in columns], [0 for _ in columns]], dtype=torch.float64)
    values = normal(2, len(columns)).detach()
    row = torch.tensor([[not n for n in columns]]).double() * values + codes.clamp(min=0)
    expected = []
    for b in range(2):
        for i, categories in enumerate(columns):
            if categories == 0:
                number = columns[:i].count(0)
                token = row[b, i] * part.weight[number] + part.bias[number]
            else:
                token = part.categories.weight[sum(columns[:i]) + int(codes[b, i])]
            expected.append(token + places(part, position, len(columns))[i])
    found = part(row, {})
    same_gradients(found.flatten(0, 1), torch.stack(expected), list(part.parameters()))
    present = {"weight", "bias"} if 0 in columns else set()
    present |= {"categories.weight"} if any(columns) else set()
    present |= {"position"} if "learned" in position else set()
    assert set(weights(part)) == present


def test_validity() -> None:
    assert valid_tokens(None, 3) is None and valid_whole(None, 3) is None
    tokens, whole = valid_tokens(torch.tensor([2, 0]), 3), valid_whole(torch.tensor([1, 0]), 2)
    assert tokens is not None and tokens.tolist() == [[True, True, False], [False] * 3]
    assert whole is not None and whole.tolist() == [[True, True], [False, False]]
    like = torch.zeros(1, dtype=torch.bfloat16)
    assert absent(5, 7, like).shape == (5, 0, 7) and absent(5, 7, like).dtype == like.dtype
