"""How emitted models start: one method draws all weights, and by the figures that are published."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import pytest
import torch

from mmspec.compiler import ir
from mmspec.compiler.lower.lower import lower
from mmspec.verify.faults.specs import CROSSED, JOINED, STARTED, TOWERS
from mmspec.verify.strategies import load as read
from mmspec.verify.subject import Subject

KINDS = ("gpt2", "normal", "normal(0.3)", "truncated-normal(0.1)")
SMALL_GPT2 = """\
mmspec: 1
name: small
init: gpt2
modalities:
  text: {kind: tokens, vocab: 997, length: {max: 256}, position: learned}
streams:
  text: {from: text, depth: 8, width: 96, heads: 4, attention: causal}
heads:
  next: {from: text, kind: language-model}
"""


@lru_cache(maxsize=4)
def starting(text: str, init: str = "") -> Subject:
    """A spec that starts so; as it says itself where nothing is given."""
    if init:
        text = re.sub(r"^init: .*\n", "", text, flags=re.MULTILINE)
        text = text.replace("modalities:", f"init: {init}\nmodalities:", 1)
    return Subject.of_text(text)


def weights(text: str, init: str = "", seed: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    model = starting(text, init).model_class()
    return {name: value.detach() for name, value in model.named_parameters()}


def deviations(found: dict[str, torch.Tensor], ends: str) -> list[float]:
    return [float(value.std()) for name, value in found.items() if name.endswith(ends)]


def test_the_figures_of_gpt2() -> None:
    """c_attn, c_fc, wte, wpe 0.02; c_proj 0.02 / sqrt(2 n_layer) (transformers, nanoGPT)."""
    found = weights(SMALL_GPT2)
    for ends, count in (("table.weight", 1), ("position", 1), ("qkv.weight", 8), ("up.weight", 8)):
        assert deviations(found, ends) == pytest.approx([0.02] * count, rel=0.03)
    for ends in ("output.weight", "down.weight"):
        assert deviations(found, ends) == pytest.approx([0.005] * 8, rel=0.03)
    biases = [value for name, value in found.items() if name.endswith("bias")]
    norms = [value for name, value in found.items() if name.endswith("norm.weight")]
    assert len(biases) == 8 * 6 + 1
    assert len(norms) == 8 * 2 + 1
    assert not any(bool(value.any()) for value in biases)
    assert all(bool((value == 1).all()) for value in norms)


def test_the_loss_begins_at_that_of_a_guess() -> None:
    """Logits of a fresh GPT-2 are near 0: the loss is ln of the vocabulary."""
    torch.manual_seed(5)
    model: Any = starting(SMALL_GPT2).model_class()
    text = torch.randint(997, (4, 200))
    loss = model(text=text, targets={"next": text}).loss.detach()
    assert float(loss) == pytest.approx(math.log(997), abs=0.05)


@pytest.mark.parametrize("text", [JOINED, CROSSED, TOWERS, STARTED])
def test_names_and_shapes_are_those_of_every_start(text: str) -> None:
    """So weights that were written before load, whatever `init` says now."""
    before = starting(text, "fan-in").model_class().state_dict()
    for init in KINDS:
        model = starting(text, init).model_class()
        assert {n: v.shape for n, v in model.state_dict().items()} == {
            n: v.shape for n, v in before.items()
        }
        model.load_state_dict(before)


@pytest.mark.parametrize("text", [JOINED, CROSSED, TOWERS, STARTED])
def test_one_method_draws_all_weights(text: str) -> None:
    for init in KINDS:
        files = starting(text, init).package.files
        drawing = [line for t in files.values() for line in t.splitlines() if "normal_(" in line]
        assert len(drawing) == 1 + (init == "gpt2"), drawing
        assert "initialise" not in starting(text, "fan-in").package.files["model.py"]
        assert "nn.init.zeros_(weight)" in files["model.py"]


def test_initialise_draws_anew_and_only_weights() -> None:
    model: Any = starting(STARTED).model_class()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.initialise()
    same = {name for name, value in model.state_dict().items() if torch.equal(value, state[name])}
    assert same == {n for n in state if n.endswith("bias") or "norm" in n.split(".")[-2]}


def test_a_truncated_start_has_no_tails() -> None:
    found = weights(SMALL_GPT2, "truncated-normal(0.1)")
    table = found["text_embedding.table.weight"]
    assert 0.199 < float(table.abs().max()) <= 0.2
    assert float(table.std()) == pytest.approx(0.08796, rel=0.01)


@pytest.mark.parametrize(
    ("said", "lowered"),
    [
        ("", None),
        ("init: fan-in\n", None),
        ("init: {kind: fan-in}\n", None),
        ("init: gpt2\n", ir.Normal(0.02, 0, True)),
        ("init: normal\n", ir.Normal(0.02, 0, False)),
        ("init: normal(std=5e-2)\n", ir.Normal(0.05, 0, False)),
        ("init: {kind: truncated-normal, std: 1}\n", ir.Normal(1.0, 2, False)),
        ("init: truncated-normal( 0.5 )\n", ir.Normal(0.5, 2, False)),
    ],
)
def test_what_a_plan_says_of_it(said: str, lowered: ir.Normal | None) -> None:
    spec = read(CROSSED.replace("modalities:", f"{said}modalities:"))
    assert lower(spec).init == lowered


def test_a_model_made_without_memory_starts_when_it_has_some() -> None:
    torch.manual_seed(5)
    with torch.device("meta"):
        model: Any = starting(SMALL_GPT2).model_class()
    model.to_empty(device="cpu").initialise()
    drawn = {n: v.detach() for n, v in model.named_parameters() if "norm." not in n}
    assert deviations(drawn, "qkv.weight") == pytest.approx([0.02] * 8, rel=0.03)
    assert all(bool(torch.isfinite(value).all()) for value in drawn.values())
