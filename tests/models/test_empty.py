"""Batches of no samples and inputs of no tokens: a mean over nothing is 0, on every way to compute.

What a loss is made of is 0, and so are all gradients.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from large import part
from model_inputs import SMALL, SPECS, compiled, plan_of, tensors
from torch import Tensor, nn

import mmspec


def empty(name: str) -> dict[str, Any]:
    """The inputs of a shipped spec without their samples."""
    drawn = tensors(plan_of(name), 2)
    return {
        key: {n: x[:0] for n, x in value.items()} if isinstance(value, dict) else value[:0]
        for key, value in drawn.items()
    }


def zero(model: nn.Module, given: dict[str, Any]) -> None:
    """Assert that losses and gradients are 0."""
    out = model(**given)
    parts: dict[str, Tensor] = {**out.losses, **out.auxiliary, "all": out.loss}
    assert {key: x.item() for key, x in parts.items()} == dict.fromkeys(parts, 0.0)
    assert all(x.isfinite().all() for x in out.statistics.values())
    out.loss.backward()
    moved = [key for key, x in model.named_parameters() if x.grad is not None and x.grad.any()]
    assert not moved


@pytest.mark.deep
@pytest.mark.parametrize("backend", part(["sdpa", "auto", "tiles"], ["auto", "tiles"]))
@pytest.mark.parametrize("name", SMALL)
def test_no_samples(name: str, backend: str) -> None:
    """What is computed of so few by `auto` is what `sdpa` writes."""
    model, given = mmspec.compile(SPECS / f"{name}.yaml", backend)(), empty(name)
    for training in (True, False):
        model.train(training)
        zero(model, given)
        zero(model, {**given, "lengths": {}})


@pytest.mark.parametrize("name", ["sliding", "gated"])
def test_no_samples_by_tiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operator itself is called, not what it is replaced by where that is faster."""
    model = mmspec.compile(SPECS / f"{name}.yaml", "tiles")()
    plans: Any = import_module(".runtime.sparse_plan", type(model).__module__.rpartition(".")[0])
    monkeypatch.setattr(plans, "_MARGIN", 1e9)
    plans.chosen.cache_clear()
    zero(model, empty(name))
    plans.chosen.cache_clear()


@pytest.mark.parametrize("name", SMALL)
def test_no_tokens(name: str) -> None:
    plan, model = plan_of(name), compiled(name)
    given = tensors(plan, 2)
    for item in plan.inputs:
        if item.longest:
            targets = dict(given["targets"])
            for head in plan.heads:
                if head.segment == item.name:
                    targets[head.name] = targets[head.name][:, :0]
            none = {item.name: given[item.name][:, :0], "lengths": {}, "targets": targets}
            out = model(**{**given, **none})
            assert out.loss.isfinite()
            out.loss.backward()


@pytest.mark.parametrize("name", ["sliding", "video"])
def test_no_prompts(name: str) -> None:
    model = compiled(name).eval()
    steps: Any = import_module(".decoding", type(model).__module__.rpartition(".")[0])
    given = {key: value for key, value in empty(name).items() if key != "targets"}
    nobody = torch.zeros(0, 2, dtype=torch.int64)
    for prompt in (given, {**given, "lengths": {}}):
        _, cache = steps.prefill(model, **prompt)
        logits, _ = steps.decode(model, nobody, cache.select(nobody[:, 0]))
        assert logits.shape[:2] == (0, 2)
