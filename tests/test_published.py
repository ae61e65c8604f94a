"""Published architectures: each has as many parameters as its authors' code, to the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mmspec.compiler import driver
from mmspec.compiler.load import load
from mmspec.verify.costs import parameters

FOLDER = Path(__file__).parents[1] / "specs" / "published"
COUNTS = {
    "bloom_560m": 559_214_592,
    "falcon_7b": 6_921_720_704,
    "gemma3_1b": 999_885_952,
    "gemma_2b": 2_506_172_416,
    "gpt2_small": 124_439_808,
    "ijepa_huge": 632_043_240,
    "llama3_8b": 8_030_261_248,
    "mistral_7b": 7_241_732_096,
    "mpt_7b": 6_649_286_656,
    "olmo2_1b": 1_484_916_736,
    "opt_125m": 125_239_296,
    "pythia_160m": 162_322_944,
    "qwen2_05b": 494_032_768,
    "qwen3_06b": 596_049_920,
    "smollm3_3b": 3_075_098_624,
    "starcoder2_3b": 3_030_371_328,
}
"""Counted in transformers 5.23.0 on the meta device, tied weights once."""


def test_every_one_is_counted() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_a_published_architecture_has_its_parameters(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    spec = driver.run(path, "validate")
    assert (spec.name, spec.claims) == (name, (f"params == {COUNTS[name]}",))
    assert parameters(driver.run(path, "lower")) == COUNTS[name]
    made = load(driver.run(path, "emit"))
    with torch.device("meta"):
        model: Any = made()
    assert sum(weight.numel() for weight in model.parameters()) == COUNTS[name]
    if "image" in spec.modalities:
        pixels = torch.zeros(1, 3, 224, 224, device="meta")
        assert model(image=pixels).heads.label.shape == (1, 1000)
        return
    ids = torch.zeros(1, 7, dtype=torch.int64, device="meta")
    logits = model(text=ids).heads.next
    assert logits.shape == (1, 7, model.text_embedding.table.num_embeddings)
