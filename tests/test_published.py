"""Published architectures: each has as many parameters as its authors' code, to the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mmspec.compiler import driver
from mmspec.compiler.load import load
from mmspec.schema.modality import Varying
from mmspec.verify.costs import parameters

FOLDER = Path(__file__).parents[1] / "specs" / "published"
COUNTS = {
    "ast_base": 86_594_063,
    "bark_coarse": 104_319_744,
    "bart_base": 139_420_416,
    "bert_base": 109_483_778,
    "bert_pretraining": 110_106_428,
    "blip_base": 223_971_644,
    "bloom_560m": 559_214_592,
    "chinese_clip": 188_262_913,
    "clip_vit_b32": 151_277_313,
    "deit_base": 86_569_192,
    "falcon_7b": 6_921_720_704,
    "gemma3_1b": 999_885_952,
    "gemma_2b": 2_506_172_416,
    "git_base": 176_619_066,
    "gpt2_small": 124_439_808,
    "ijepa_huge": 632_043_240,
    "llama3_8b": 8_030_261_248,
    "mistral_7b": 7_241_732_096,
    "mpt_7b": 6_649_286_656,
    "olmo2_1b": 1_484_916_736,
    "opt_125m": 125_239_296,
    "pix2struct_base": 282_285_696,
    "pythia_160m": 162_322_944,
    "qwen2_05b": 494_032_768,
    "qwen3_06b": 596_049_920,
    "smollm3_3b": 3_075_098_624,
    "speech2text_small": 29_536_256,
    "starcoder2_3b": 3_030_371_328,
    "t5_small": 60_506_624,
    "videomae_base": 86_534_800,
    "visual_bert": 110_665_730,
    "vit_base": 86_567_656,
    "vivit_base": 88_954_000,
    "vit_msn": 86_567_656,
    "whisper_tiny": 37_760_640,
    "whisper_classifier": 8_307_458,
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
    given = {}
    for what, modality in spec.modalities.items():
        length = min(modality.length.max, 64) if isinstance(modality, Varying) else 1
        dtype = torch.int64 if modality.ids else None
        given[what] = torch.zeros(
            1, *modality.shape(7 if dtype else length), dtype=dtype, device="meta"
        )
    every = model(**given).heads
    for said, head in zip(every, spec.heads.values(), strict=True):
        if head.kind == "language-model":
            assert said.shape == (1, 7, list(spec.modalities.values())[-1].ids)
        else:
            assert said.shape == (1, head.size or 1)
