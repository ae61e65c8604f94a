"""Published architectures, made small, give what transformers gives: in float64, by its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, Small, in_float64
from model_inputs import SPECS

import mmspec
from mmspec.compiler import driver
from mmspec.compiler.ir import Plan
from mmspec.compiler.load import load
from mmspec.compiler.lower.lower import lower
from mmspec.compiler.printer import show
from mmspec.families.importing import imported
from mmspec.families.table import FAMILIES as TABLE
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.text import parse
from mmspec.weights import files
from mmspec.weights.carry import back, carry

PUBLISHED = SPECS / "published"
TOKENS = 13
"""More than a window holds."""


def test_every_published_spec_is_compared() -> None:
    assert {path.stem for path in PUBLISHED.glob("*.yaml")} == set(FAMILIES)
    assert len(TABLE) == len(FAMILIES)


def small(name: str, family: Small, folder: Path) -> Path:
    """The spec, as small as the family's settings."""
    text = (PUBLISHED / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in family.edits:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text.partition("claims:")[0], encoding="utf-8")
    return path


def spec_of(folder: Path, name: str) -> Spec:
    """What is imported of the settings that transformers wrote."""
    return validate(parse(imported(folder, name).text, "imported.yaml"))


def computed(plan: Plan) -> str:
    """A plan, wherever its parts stood."""
    return re.sub(r" +# line \d+", "", show(plan))


def given(model: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a small model reads, and by transformers' names; each text has the last id somewhere."""
    ids = torch.randint(2, 31, (2, TOKENS))  # 1 is padding to some, which have no place there
    ids[:, 9] = 30
    every = {"text": ("input_ids", ids), "source": ("input_ids", ids)}
    every["target"] = "decoder_input_ids", torch.randint(31, (2, TOKENS - 4))
    for each, (called, *shape) in NUMBERS.items():
        every[each] = called, torch.randn(2, *shape, dtype=torch.float64)
    read = {what: each for what, each in every.items() if hasattr(model, f"{what}_embedding")}
    ours: dict[str, Any] = {what: x for what, (_, x) in read.items()}
    theirs = dict(read.values())
    if "text" in read and len({"sound", "screen"} & read.keys()):  # a text is the decoder's
        theirs["decoder_input_ids"] = theirs.pop("input_ids")
    if "spectrogram" in read:  # frames stand before features there
        theirs["input_values"] = theirs["input_values"].squeeze(1).mT
    elif "sound" in read and name.startswith("whisper"):  # and here features before frames
        theirs["input_features"] = theirs["input_features"].mT
    _add(model, ours, theirs)
    return ours, theirs


NUMBERS: dict[str, tuple[Any, ...]] = {
    "image": ("pixel_values", 3, 8, 8),
    "video": ("pixel_values", 6, 3, 8, 8),
    "spectrogram": ("input_values", 1, 8, 12),
    "sound": ("input_features", 16, 6),
    "regions": ("visual_embeds", 5, 20),
    "screen": ("flattened_patches", 7, 12),
}
"""Modalities of numbers: what they are called in transformers, and the shape of a small sample."""


def _add(model: Any, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """What else is given of tokens."""
    kinds, added = torch.randint(2, (2, TOKENS)), {}
    if "text" in ours and hasattr(model.text_embedding, "added_segment"):
        added["text.segment"] = theirs["token_type_ids"] = kinds
    if "regions" in ours:
        added["regions.segment"] = theirs["visual_token_type_ids"] = kinds[:, :5]
    if "screen" in ours:  # places stand before numbers there
        row, column = torch.randint(1, 9, (2, 2, 7))
        added |= {"screen.row": row, "screen.column": column}
        places = torch.stack([row, column], -1).double()
        theirs["flattened_patches"] = torch.cat([places, theirs["flattened_patches"]], -1)
    if added:
        ours["added"] = added


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_are_those_of_transformers_by_its_files(name: str, tmp_path: Path) -> None:
    """By the spec of its settings, which is the published one made small, and by its weights.

    These as its files have them again are what was in them, bit for bit.
    """
    torch.manual_seed(0)
    with in_float64():
        theirs = FAMILIES[name].made()
    theirs.save_pretrained(tmp_path / "there")
    spec = spec_of(tmp_path / "there", name)
    assert computed(lower(spec)) == computed(mmspec.plan(small(name, FAMILIES[name], tmp_path)))
    model = load(driver.emit(spec, "sdpa"))().double()
    assert sum(x.numel() for x in model.parameters()) == theirs.num_parameters()
    ours, named = given(model, name)
    with in_float64(), torch.no_grad():
        out = theirs(**named)
    found = carry(spec, files.opened(tmp_path / "there"))
    state = found.state()
    assert found.is_whole and found.family in (theirs.config.model_type, name)
    model.load_state_dict(state)
    with torch.no_grad():
        said = model.eval()(**ours).heads
    for made, wanted in zip(said, (out[each] for each in FAMILIES[name].outputs), strict=True):
        wanted = wanted[:, -made.shape[1] :]  # GIT has logits of patches too
        worst = (made - wanted).abs().max() / wanted.abs().max()
        assert worst < 1e-8, worst  # of BLOOM's root in 8 digits, VideoMAE's sines in float32
    again, read = back(spec, state, found.family), found.checkpoint.read()
    assert {*again} == {*read} - {*found.copies}
    assert all(torch.equal(value, read[key]) for key, value in again.items())
