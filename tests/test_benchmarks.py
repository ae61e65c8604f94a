"""Benchmarks of attention: masks are their formulas, wrong outputs are seen, the GPU path dry."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import attention
import attention_check
import attention_masks
import attention_peers
import attention_schedule
import gpu


@pytest.mark.parametrize("name", attention_masks.MASKS)
def test_each_mask_is_its_formula(name: str) -> None:
    case = attention_masks.MASKS[name](512)
    q, k, v = (torch.randn(1, 1, count, 16) for count in (case.tokens[0], *case.tokens[1:] * 2))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=case.seen_qk)
    found = attention_peers.sparse(name, case)(q, k, v)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert case.density == pytest.approx(float(case.seen_qk.float().mean()))


def test_the_suite_has_fourteen_masks_and_one_of_several() -> None:
    assert len(attention_masks.MASKS) == 15 and "multimodal" in attention_masks.MASKS


def test_density_of_long_masks_is_near_their_formula_s() -> None:
    """A causal window of 512: 512 keys for each query but the first 511."""
    case = attention_masks.MASKS["window"](1 << 16)
    exact = (512 * (1 << 16) - 511 * 512 // 2) / (1 << 32)
    assert case.density == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_and_gradients_of_some_queries(backward: bool, masked: bool) -> None:
    """Dense attention is right with the mask, and refused without."""
    case = attention_masks.MASKS["2-D"](1024)
    options = argparse.Namespace(backward=backward, device="cpu")
    inputs = [torch.randn(1, 2, 1024, 16) for _ in range(3)]
    setting = attention.Setting("2-D", case, torch.float32, options, inputs)
    ways = {"it": attention_peers.dense(case.seen_qk if masked else None)}
    assert len(attention_check.places(case)) == 256
    assert bool(setting.wrong(ways)) != masked


def test_a_wrong_gradient_of_one_key_is_seen() -> None:
    case = attention_masks.MASKS["window"](256)
    options = argparse.Namespace(backward=True, device="cpu")
    inputs = [torch.randn(1, 2, 256, 16) for _ in range(3)]
    setting = attention.Setting("window", case, torch.float32, options, inputs)
    dense = attention_peers.dense(case.seen_qk)

    def wrong(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        v = torch.cat([v[:, :, :9], v[:, :, 9:10].detach(), v[:, :, 10:]], 2)
        return dense(q, k, v)

    assert set(setting.wrong({"right": dense, "wrong": wrong})) == {"wrong"}


def test_schedules_of_a_million_tokens_take_kilobytes() -> None:
    for name in ("window", "global + local", "2-D", "time-distance cross"):
        case = attention_masks.MASKS[name](attention_schedule.LENGTH)
        _, kilobytes = attention_schedule.cost(attention_schedule.builder(case))
        assert kilobytes < 100


def test_ratios_of_a_row() -> None:
    """Half the pairs of a causal mask are visible, and 17 of 32 tiles; times are made up."""
    case = attention_masks.MASKS["causal"](1024)
    options = argparse.Namespace(backward=False, device="cuda")
    seconds = {
        "ours": 2.0,
        "dense": 5.0,
        "causal": 4.0,
        "unmasked": 3.0,
        "flex 64": 7.0,
        "flex 128": 6.0,
        "build 64": 50.0,
        "build 128": 40.0,
    }
    row = attention.Row(attention.Setting("causal", case, torch.float32, options), seconds)
    found = gpu.Session(options).figures(row)
    assert list(found) == list(gpu.COLUMNS[2:])
    assert found["x dense"] == 2.0 and found["x flex"] == 3.0 and found["x flex + build"] == 20.0
    assert found["ours ms"] == 2000.0 and found["flex ms"] == 6000.0
    assert found["rate on tiles of dense"] == pytest.approx(1.5 * 17 / 32)
    assert row.ideal == pytest.approx(1.5 * 1025 / 2048)


def test_the_gpu_s_path_dry(tmp_path: Path) -> None:
    """Kernels interpreted, held to float64, beside SDPA and FlexAttention; no speed is shown."""
    file = tmp_path / "tables.md"
    masks = ["document"]
    command = [sys.executable, "-W", "ignore", "benchmarks/gpu.py", "--dry", "--masks", *masks]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--lengths", "256", "--write", str(file)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    text = file.read_text()
    assert text == done.stdout
    rows = [line for line in text.splitlines() if line.startswith(tuple(f"| {m}" for m in masks))]
    assert len(rows) == 2 and "wrong" not in text and "relative error" not in text
    assert all(row.split("|")[4:-1] == ["  "] * 8 for row in rows)
    assert "Left out" not in text
