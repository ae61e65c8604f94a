"""Embeddings of the reference against torch's convolution, numpy, and values by hand."""

from __future__ import annotations

import math

import numpy as np
import torch
from reference_cases import close, normal, one_stream

from mmspec.verify.reference import run
from mmspec.verify.reference.modality import sincos
from mmspec.verify.strategies import load, weights


def test_patches_are_a_strided_convolution() -> None:
    spec = one_stream(
        "depth: 1, heads: 1",
        modality="{kind: image, size: [6, 4], channels: 2, patch: 2, position: learned}",
    )
    w, x = weights(spec, 0), normal(3, 2, 6, 4)
    kernel = w["x_embedding.patch.weight"].reshape(6, 2, 2, 2)
    maps = torch.nn.functional.conv2d(x, kernel, w["x_embedding.patch.bias"], stride=2)
    expected = maps.flatten(2).transpose(1, 2) + w["x_embedding.position"]
    close(torch.stack(run(spec, w, {"x": x}).trace["s.fused"]), expected)


def test_frames_past_the_length_and_the_tail_are_zero() -> None:
    spec = one_stream(
        "depth: 1, heads: 1",
        modality="{kind: audio, features: 2, rate: 50 Hz, length: {max: 8}, patch: 3}",
    )
    w, x = weights(spec, 0), normal(2, 8, 2)
    trace = run(spec, w, {"x": x}, {"x": torch.tensor([4, 8])}).trace["s.fused"]
    assert [tokens.shape[0] for tokens in trace] == [2, 3]
    flat = torch.cat([x[0, 3], torch.zeros(4, dtype=torch.float64)])
    expected = w["x_embedding.frames.weight"] @ flat + w["x_embedding.frames.bias"]
    close(trace[0][1], expected)


def test_tubelets_are_a_strided_convolution_in_time_and_space() -> None:
    spec = one_stream(
        "depth: 1, heads: 1",
        modality="{kind: video, size: [6, 4], channels: 2, patch: 2, tubelet: 3, rate: 25 Hz, "
        "length: {max: 8}, position: learned}",
    )
    w, x = weights(spec, 0), normal(2, 8, 2, 6, 4)
    kernel = w["x_embedding.patch.weight"].reshape(6, 3, 2, 2, 2).transpose(1, 2)
    lengths = [4, 8]
    trace = run(spec, w, {"x": x}, {"x": torch.tensor(lengths)}).trace["s.fused"]
    for sample, length in enumerate(lengths):
        whole = torch.zeros(9, 2, 6, 4, dtype=torch.float64)
        whole[:length] = x[sample, :length]
        bias = w["x_embedding.patch.bias"]
        maps = torch.nn.functional.conv3d(whole.transpose(0, 1), kernel, bias, stride=(3, 2, 2))
        count = 6 * math.ceil(length / 3)
        expected = maps.flatten(1).T[:count] + w["x_embedding.position"][:count]
        close(trace[sample], expected)


def test_rows_and_columns_of_a_video_start_anew_in_every_frame() -> None:
    spec = load(
        "mmspec: 1\nname: case\nmodalities:\n"
        "  x: {kind: video, size: [2, 3], channels: 1, patch: 1, position: sincos-2d,"
        " rate: 2 Hz, length: {max: 3}}\n"
        "streams: {s: {from: x, depth: 1, width: 8, heads: 2}}\n"
        "heads: {y: {from: s, kind: regressor, outputs: 1}}\n"
    )
    w = weights(spec, 0)
    w |= {name: torch.zeros_like(w[name]) for name in w if ".patch." in name}
    found = run(spec, w, {"x": normal(1, 3, 1, 2, 3)}).trace["s.fused"][0]
    assert found.shape == (18, 8)
    close(found[6 + 5], torch.cat([sincos(1, 4), sincos(2, 4)]))
    close(found[:6], found[12:])


def test_columns_of_a_table() -> None:
    spec = one_stream(
        "depth: 1, heads: 1",
        modality="{kind: table, columns: {a: {categories: 3}, e: number, c: {categories: 2}, "
        "d: number}, position: learned}",
    )
    w = weights(spec, 0)
    row = torch.tensor([[2.0, -1.5, 1.0, 4.0]], dtype=torch.float64)
    rows, number = w["x_embedding.categories.weight"], w["x_embedding.weight"]
    bias = w["x_embedding.bias"]
    expected = torch.stack(
        [rows[2], -1.5 * number[0] + bias[0], rows[3 + 1], 4 * number[1] + bias[1]]
    )
    found = run(spec, w, {"x": row}).trace["s.fused"][0]
    close(found, expected + w["x_embedding.position"])


def test_sincos_is_the_page() -> None:
    found = sincos(5, 6).numpy()
    for i in range(3):
        angle = 5 / math.pow(10000, 2 * i / 6)
        np.testing.assert_allclose(found[2 * i : 2 * i + 2], [math.sin(angle), math.cos(angle)])


def test_rows_and_columns_of_an_image_have_half_the_width_each() -> None:
    spec = load(
        "mmspec: 1\nname: case\nmodalities:\n"
        "  x: {kind: image, size: [2, 3], channels: 1, patch: 1, position: sincos-2d}\n"
        "streams: {s: {from: x, depth: 1, width: 8, heads: 2}}\n"
        "heads: {y: {from: s, kind: regressor, outputs: 1}}\n"
    )
    w = weights(spec, 0)
    w |= {name: torch.zeros_like(w[name]) for name in w if ".patch." in name}
    found = run(spec, w, {"x": normal(1, 1, 2, 3)}).trace["s.fused"][0]
    close(found[5], torch.cat([sincos(1, 4), sincos(2, 4)]))
    close(found[1], torch.cat([sincos(0, 4), sincos(1, 4)]))
