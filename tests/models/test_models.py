"""Every shipped model: a training step, torch.compile, bf16, autocast, export, state dicts."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from large import is_deep, part
from model_inputs import SMALL, compiled, plan_of, tensors
from torch import nn


@pytest.mark.parametrize("name", SMALL)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    model, given = compiled(name).train(), tensors(plan_of(name), batch=5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = model(**given).loss
        assert loss is not None
        optimizer.zero_grad()
        loss.backward()
        idle = [key for key, value in model.named_parameters() if value.grad is None]
        assert not idle, f"no gradient reaches {idle}"
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", SMALL)
def test_the_output_is_typed(name: str) -> None:
    plan, model = plan_of(name), compiled(name).eval()
    given = tensors(plan, batch=2)
    out = model(**given)
    assert type(out).__name__ == f"{plan.class_name}Output"
    assert out.heads._fields == tuple(head.name for head in plan.heads)
    assert set(out.losses) == set(out.heads._fields)
    without = model(**{**given, "targets": None})
    assert without.loss is None and without.losses == {}
    assert all(value.shape for value in out.statistics.values())


TRAINED_OTHERWISE = ("act", "alibi", "early_exit", "experts_top2", "gated", "local_global", "video")
"""Specs whose training has code that evaluation, or the training of others, has not."""
GRAPHS_OF_GRADIENTS = ("alibi", "gated")
"""Of those, what is also made a graph of gradients: by an operator of our own, and without."""
BUILT_OTHERWISE = (
    *("bands", "capped", "cross_attention", "early_exit", "experts_by_modality"),
    *("hierarchical", "macaron", "ponder", "stamps", "transformer_fusion", "two_tower"),
)
"""One for each kind of fusion, head, position and halting, of those that are not traced above."""


@pytest.mark.deep
@pytest.mark.parametrize("name", part(SMALL, TRAINED_OTHERWISE))
def test_one_graph_of_training_under_torch_compile(name: str) -> None:
    whole = is_deep() or name in GRAPHS_OF_GRADIENTS
    is_one_graph(compiled(name).train(), name, "aot_eager" if whole else "eager")


@pytest.mark.deep
@pytest.mark.parametrize("name", part(SMALL, BUILT_OTHERWISE))
def test_one_graph_under_torch_compile(name: str) -> None:
    """As Dynamo sees it; what becomes of a graph afterwards is the same as in training."""
    is_one_graph(compiled(name).eval(), name, "aot_eager" if is_deep() else "eager")


def is_one_graph(model: nn.Module, name: str, backend: str) -> None:
    torch.compiler.reset()
    traced = torch.compile(model, fullgraph=True, backend=backend)
    given = tensors(plan_of(name), batch=3)
    expected, found = model(**given), traced(**given)
    for ours, theirs in zip(expected.heads, found.heads, strict=True):
        torch.testing.assert_close(theirs, ours)
    torch.testing.assert_close(found.loss, expected.loss)


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_stays_near_float32(name: str) -> None:
    """Weights and inputs in bf16, and float32 weights under autocast."""
    model, given = compiled(name).train(), tensors(plan_of(name), batch=3)
    low = compiled(name).train().bfloat16()
    for module in (*model.modules(), *low.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    inputs = {
        key: value.bfloat16() if torch.is_tensor(value) and value.is_floating_point() else value
        for key, value in given.items()
    }
    inputs["targets"] = {
        key: value.bfloat16() if value.is_floating_point() else value
        for key, value in given["targets"].items()
    }
    precise = model(**given)
    rounded = low(**inputs)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(**given)
    for a, b, c in zip(precise.heads, rounded.heads, mixed.heads, strict=True):
        assert b.dtype == torch.bfloat16 and b.isfinite().all() and c.isfinite().all()
        if name != "experts_top2":  # where a choice may flip, finite is what can be asked
            torch.testing.assert_close(b.float(), a, atol=0.15, rtol=0.1)
            torch.testing.assert_close(c.float(), a, atol=0.15, rtol=0.1)


def test_export_with_dynamic_batch_and_length() -> None:
    model = compiled("single_stream").eval()
    given = tensors(plan_of("single_stream"), batch=3)
    inputs = {key: value for key, value in given.items() if torch.is_tensor(value)}
    batch = torch.export.Dim("batch", min=1, max=64)
    length = torch.export.Dim("length", min=2, max=plan_of("single_stream").inputs[1].tokens.max)
    shapes = {key: {0: batch} for key in inputs}
    text = next(item.name for item in plan_of("single_stream").inputs if item.kind == "tokens")
    shapes[text][1] = length
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (), inputs, dynamic_shapes=shapes)
    for count, seed in ((3, 0), (5, 1)):
        other = tensors(plan_of("single_stream"), count, seed)
        fresh = {key: other[key] for key in inputs}
        fresh[text] = fresh[text][:, : 13 - seed]
        found = program.module()(**fresh)
        torch.testing.assert_close(found.heads[0], model(**fresh).heads[0])


@pytest.mark.parametrize("name", SMALL)
def test_weights_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    first, second = compiled(name, seed=1).eval(), compiled(name, seed=2).eval()
    given = tensors(plan_of(name), batch=2)
    safetensors.torch.save_file(first.state_dict(), tmp_path / "weights.safetensors")
    second.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    for ours, theirs in zip(first(**given).heads, second(**given).heads, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["gated", "stamps"])
def test_any_subset_of_optional_inputs(name: str) -> None:
    """None, and a length of 0 with any content, are the same thing; no input at all is refused."""
    plan, model = plan_of(name), compiled(name).eval()
    given = tensors(plan, batch=2)
    names = [item.name for item in plan.inputs]
    for count in range(1, len(names) + 1):
        for kept in itertools.combinations(names, count):
            left = {key: given[key] if key in kept else None for key in names}
            absent = {key: torch.zeros(2, dtype=torch.int64) for key in names if key not in kept}
            lengths = {key: v for key, v in given["lengths"].items() if key in kept}
            found = model(**left, lengths=lengths).heads[0]
            whole = {key: given[key] for key in names}
            emptied = model(**whole, lengths={**lengths, **absent}).heads[0]
            torch.testing.assert_close(found, emptied)
    with pytest.raises(ValueError, match="give at least one of"):
        model()


def test_wrong_inputs_are_named() -> None:
    model, given = compiled("gated").eval(), tensors(plan_of("gated"), batch=2)
    image, text = given["image"], given["text"]
    with pytest.raises(ValueError, match=r"image must be \[any, 3, 64, 64\], is \[2, 64, 64, 3\]"):
        model(image=image.permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match="text has 49 positions, at most 48 are allowed"):
        model(text=text[:, :1].expand(-1, 49))
    with pytest.raises(ValueError, match="lengths has no 'txt'; names: image, text"):
        model(text=text, lengths={"txt": torch.tensor([1, 2])})
    with pytest.raises(ValueError, match="targets has no 'lable'"):
        model(text=text, targets={"lable": torch.tensor([1, 2])})


def test_numbers_to_regress_on_are_never_spread_over_the_batch() -> None:
    model, given = compiled("ponder").eval(), tensors(plan_of("ponder"), batch=3)
    for wrong in (torch.ones(3), torch.ones(1, 1), torch.ones(3, 2)):
        with pytest.raises(ValueError, match=r"targets of total must be \[3, 1\]"):
            model(digits=given["digits"], targets={"total": wrong})
