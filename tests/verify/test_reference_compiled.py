"""The compiled model means what the reference says, in float64: outputs, losses and gradients."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from large import is_deep, part
from torch import Tensor, nn

from mmspec.schema.spec import Spec
from mmspec.verify.faults.specs import HEARD, PLACED, READ
from mmspec.verify.lab.lab import dry, without_dropout
from mmspec.verify.reference import Result, expected_state, run
from mmspec.verify.reference.model import Mode
from mmspec.verify.strategies import Inputs, inputs, load, specs, weights

SHIPPED = sorted(
    path for path in (Path(__file__).parents[2] / "specs").glob("*.yaml") if path.stem != "gpt2"
)


@lru_cache(maxsize=64)
def build(text: str, backend: str = "auto") -> tuple[Spec, type[nn.Module]]:
    """The spec of a text and its compiled class."""
    from mmspec.compiler.emit.emit import emit
    from mmspec.compiler.load import load as load_package
    from mmspec.compiler.lower.lower import lower

    spec = load(text)
    return spec, load_package(emit(lower(spec), spec, backend))


def same(name: str, found: Tensor, expected: Tensor, slack: float = 0.0) -> None:
    """Assert |found - expected| <= 1e-10 + 1e-8 |expected| + slack, but where that is NaN."""
    assert found.shape == expected.shape, (name, found.shape, expected.shape)
    valid = ~torch.isnan(expected)
    error = (found.to(torch.float64) - expected)[valid].abs()
    allowed = 1e-10 + 1e-8 * expected[valid].abs() + slack
    worst = float((error / allowed).max()) if error.numel() else 0.0
    assert worst <= 1, f"{name}: {worst:.3g} times the tolerance\n{found}\n{expected}"


def same_all(kind: str, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Assert the same names with the same values."""
    assert set(found) == set(expected), (kind, set(found), set(expected))
    for name, value in expected.items():
        same(f"{kind} {name}", found[name], value.detach())


def objective(heads: dict[str, Tensor], loss: Tensor, both: dict[str, Tensor]) -> Tensor:
    """The loss, and every output that the reference calls valid, as one number."""
    total = loss
    for name, values in heads.items():
        shares = torch.cos(torch.arange(values.numel(), dtype=torch.float64)).reshape(values.shape)
        valid = ~torch.isnan(both[name])
        total = total + (values[valid] * shares[valid]).sum()
    return total


def compare(spec: Spec, model_class: type[nn.Module], batch: Inputs, seed: int, mode: Mode) -> None:
    """Assert that one batch means the same to both."""
    w = {n: x.requires_grad_() for n, x in weights(spec, seed).items()}
    given = batch.tensors, batch.lengths, batch.targets
    told = batch.documents, batch.added
    expected = run(without_dropout(spec), w, *given, mode, False, *told)
    model = model_class().double().train(mode == "train")
    has = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert has == expected_state(spec), "the weights have the names of the language"
    model.load_state_dict({name: x.detach() for name, x in w.items()})
    with dry(model):
        out: Any = model(**given[0], lengths=given[1], targets=given[2], **batch.told)
    found = {name: getattr(out.heads, name) for name in spec.heads}
    same_all("head", found, expected.heads)
    same_all("loss", out.losses, expected.losses)
    same_all("auxiliary", out.auxiliary, expected.auxiliary)
    same_all("statistic", out.statistics, expected.statistics)
    assert expected.loss is not None
    same("total", out.loss, expected.loss.detach())
    _same_gradients(model, w, objective(found, out.loss, expected.heads), expected)


def _same_gradients(model: nn.Module, w: dict[str, Tensor], total: Tensor, ref: Result) -> None:
    assert ref.loss is not None
    reference = objective(ref.heads, ref.loss, ref.heads)
    assert total.requires_grad == reference.requires_grad
    if not reference.requires_grad:
        return
    parameters = dict(model.named_parameters())
    names = [name for name in w if name in parameters]
    expected = torch.autograd.grad(reference, [w[n] for n in names], allow_unused=True)
    found = torch.autograd.grad(total, [parameters[n] for n in names], allow_unused=True)
    largest = max(float(x.abs().max()) for x in expected if x is not None)
    for name, mine, theirs in zip(names, expected, found, strict=True):
        zero = torch.zeros_like(w[name])
        same(
            f"gradient of {name}",
            zero if theirs is None else theirs,
            zero if mine is None else mine,
            slack=1e-10 * largest,
        )


@settings(max_examples=200 if is_deep() else 16)
@given(st.data(), st.integers(0, 99), st.sampled_from(["train", "eval"]))
def test_a_drawn_spec(data: st.DataObject, seed: int, mode: Mode) -> None:
    spec, model = build(data.draw(specs()))
    for stream in spec.streams.values():
        event(f"{stream.source.fusion}, {stream.feed_forward.kind}")
    compare(spec, model, data.draw(inputs(spec)), seed, mode)


GROUPS = """
mmspec: 1
name: groups
modalities:
  photo: {kind: image, size: [6, 10], channels: 1, patch: 2}
  scan: {kind: image, size: [8, 10], channels: 1, patch: 2, optional: true}
  voice: {kind: audio, features: 2, rate: 50 Hz, length: {max: 21}, patch: 3}
  pulse: {kind: series, features: 1, rate: 12.5 Hz, length: {max: 9}}
  text: {kind: tokens, vocab: 7, length: {max: 13}, position: rotary}
streams:
  seen:
    from: {fusion: cross-attention, of: [photo, scan], heads: 6, attention: [
      {heads: 1, mask: window2d(1)}, {heads: 2, mask: {photo -> scan: "strided(2) & ~axial(row)"}},
      {heads: 3, mask: "shifted_window(size=2, shift=1)"}]}
    depth: 1
    width: 12
    heads: 4
    kv_heads: 2
    attention: [{heads: 2, mask: "axial(column) | prefix(2)"}, {heads: 2, mask: none}]
  whole:
    from: [seen, voice, pulse, text]
    depth: 2
    width: 12
    heads: 6
    attention:
      - heads: 4
        mask: {voice -> pulse: within(100 ms), pulse -> voice: within(1/12 s), text -> text: causal,
          text -> photo: "random(1, seed=9)", photo -> photo: "axial(row) | window2d(1)"}
      - heads: 2
        mask: {text -> text: "document & causal & ~block(2)", voice -> text: document,
          voice -> voice: "within(60 ms) & causal"}
heads:
  next: {from: whole, kind: language-model}
  label: {from: seen, kind: classifier, classes: 3}
"""
LONG = """
mmspec: 1
name: long
modalities:
  photo: {kind: image, size: [22, 25], channels: 1, patch: 1, position: none}
  text: {kind: tokens, vocab: 7, length: {max: 640}}
streams:
  photo: {from: photo, depth: 1, width: 4, heads: 2, kv_heads: 1, attention: window2d(2)}
  text:
    from: text
    depth: 1
    width: 4
    heads: 2
    attention: causal & (window(before=70) | prefix(3))
heads:
  label: {from: photo, kind: regressor, outputs: 1}
  next: {from: text, kind: regressor, outputs: 1}
"""


@pytest.mark.parametrize("text", [PLACED, HEARD, READ, GROUPS], ids=lambda text: text[16:25])
@settings(max_examples=6)
@given(data=st.data(), mode=st.sampled_from(["train", "eval"]))
def test_every_kind_of_mask(text: str, data: st.DataObject, mode: Mode) -> None:
    spec, model = build(text)
    compare(spec, model, data.draw(inputs(spec)), 1, mode)


def test_masks_long_enough_to_pass_over_tiles() -> None:
    spec, model = build(LONG)
    generator = torch.Generator().manual_seed(0)
    photo = torch.randn(2, 1, 22, 25, generator=generator, dtype=torch.float64)
    text = torch.randint(7, (2, 600), generator=generator)
    lengths = {"photo": torch.tensor([1, 1]), "text": torch.tensor([600, 417])}
    targets = {name: torch.zeros(2, 1, dtype=torch.float64) for name in spec.heads}
    batch = Inputs({"photo": photo, "text": text}, lengths, targets, 2, "gaussian", 0)
    compare(spec, model, batch, 0, "train")


DRAWN = """
mmspec: 1
name: drawn
modalities:
  text: {kind: tokens, vocab: 7, length: {max: 150}}
  sound: {kind: series, features: 1, rate: 10 Hz, length: {max: 70}}
streams:
  text:
    from: text
    depth: 1
    width: 4
    heads: 2
    attention: [{heads: 1, mask: random(100) & window(before=64)},
      {heads: 1, mask: "random(3) & document | random(1) & ~random(4)"}]
  read:
    from: {fusion: cross-attention, of: [sound, text], heads: 2, attention: random(3, seed=9)}
    depth: 1
    width: 4
    heads: 2
    attention: random(2) & ~random(1)
heads:
  label: {from: text, kind: regressor, outputs: 1}
  other: {from: read, kind: regressor, outputs: 1}
"""
"""Three blocks of text and two of sound, of which as many are asked for, or more, or fewer."""


@pytest.mark.parametrize("backend", ["sdpa", "tiles"])
def test_all_blocks_are_seen_where_fewer_are_there_than_asked_for(backend: str) -> None:
    spec, model = build(DRAWN, backend)
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(7, (2, 140), generator=generator)
    sound = torch.randn(2, 70, 1, generator=generator, dtype=torch.float64)
    lengths = {"text": torch.tensor([140, 101]), "sound": torch.tensor([65, 70])}
    targets = {name: torch.zeros(2, 1, dtype=torch.float64) for name in spec.heads}
    documents = {"text": torch.arange(140).repeat(2, 1) // torch.tensor([[50], [70]])}
    batch = Inputs({"text": text, "sound": sound}, lengths, targets, 2, "gaussian", 0, documents)
    compare(spec, model, batch, 0, "train")


UNLIKE = [path for path in SHIPPED if path.stem in ("alibi", "captioner", "experts_top2", "ponder")]


@pytest.mark.parametrize("path", part(SHIPPED, UNLIKE), ids=lambda path: path.stem)
@settings(max_examples=20 if is_deep() else 2)
@given(data=st.data(), mode=st.sampled_from(["train", "eval"]))
def test_a_shipped_spec(path: Path, data: st.DataObject, mode: Mode) -> None:
    """Some of them: that all are is what the laws P59 and R1 say in `test_laws.py`."""
    spec, model = build(path.read_text(encoding="utf-8"))
    compare(spec, model, data.draw(inputs(spec)), 0, mode)
