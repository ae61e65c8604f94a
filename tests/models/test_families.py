"""Published architectures, made small, give what transformers gives: in float64, by its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, Family, in_float64
from model_inputs import SPECS

from mmspec.compiler import driver
from mmspec.compiler.load import load

PUBLISHED = SPECS / "published"
TOKENS = 13
"""More than a window holds."""


def test_every_published_spec_is_compared() -> None:
    names = {path.stem for path in PUBLISHED.glob("*.yaml")}
    assert names - {"gpt2_small"} == set(FAMILIES)


def small(name: str, family: Family, folder: Path) -> Any:
    """Our model, as small as the family's."""
    text = (PUBLISHED / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in family.edits:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text.partition("claims:")[0], encoding="utf-8")
    return load(driver.run(path, "emit", backend="sdpa"))().double().eval()


def given(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a small model reads, and by transformers' names; each text has the last id somewhere."""
    ids, kinds = torch.randint(31, (2, TOKENS)), torch.randint(2, (2, TOKENS))
    ids[:, 9] = 30
    every = {"text": ("input_ids", ids), "source": ("input_ids", ids)}
    every["target"] = "decoder_input_ids", torch.randint(31, (2, TOKENS - 4))
    for name, shape in {"image": (2, 3, 8, 8), "video": (2, 6, 3, 8, 8)}.items():
        every[name] = "pixel_values", torch.randn(shape, dtype=torch.float64)
    read = {name: each for name, each in every.items() if hasattr(model, f"{name}_embedding")}
    ours: dict[str, Any] = {name: x for name, (_, x) in read.items()}
    theirs = dict(read.values())
    if "text" in read and hasattr(model.text_embedding, "added_segment"):
        ours["added"], theirs["token_type_ids"] = {"text.segment": kinds}, kinds
    return ours, theirs


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    torch.manual_seed(0)
    model = small(name, family, tmp_path)
    ours, named = given(model)
    with in_float64(), torch.no_grad():
        theirs: Any = family.made()
        out = theirs(**named)
    expected = [out[name] for name in family.outputs]
    state = family.weights(theirs, [*dict(model.named_parameters())])
    used = {each for key in state for each in family.of(key)}
    assert used == set(dict(theirs.named_parameters()))
    model.load_state_dict(
        {key: value.view_as(model.get_parameter(key)) for key, value in state.items()}
    )
    with torch.no_grad():
        said = model(**ours).heads
    for found, there in zip(said, expected, strict=True):
        worst = (found - there).abs().max() / there.abs().max()
        assert worst < 1e-9, worst  # BLOOM writes the root of 2 / pi in eight digits
