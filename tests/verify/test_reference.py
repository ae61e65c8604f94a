"""The reference as a whole: laws over drawn specs, and weight names written by hand."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from large import is_deep
from reference_cases import close, normal, one_stream
from torch import Tensor

from mmspec.schema.spec import Spec
from mmspec.verify.reference import Result, expected_weights, run
from mmspec.verify.reference.model import Mode
from mmspec.verify.strategies import Inputs, inputs, load, specs, weights

MODES = st.sampled_from(["train", "eval"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Spec, dict[str, Tensor], Inputs]:
    """A drawn spec, without dropout, with weights and a batch."""
    drawn = load(draw(specs()))
    dry = {name: modality.dry() for name, modality in drawn.modalities.items()}
    spec = drawn.model_copy(update={"modalities": dry})
    return spec, weights(spec, draw(st.integers(0, 99))), draw(inputs(spec))


def meaning(case: tuple[Spec, dict[str, Tensor], Inputs], mode: Mode) -> Result:
    spec, w, batch = case
    return run(spec, w, batch.tensors, batch.lengths, batch.targets, mode)


@settings(max_examples=100 if is_deep() else 25)
@given(cases(), MODES)
def test_each_sample_means_the_same_alone(
    case: tuple[Spec, dict[str, Tensor], Inputs], mode: Mode
) -> None:
    spec, w, batch = case
    whole = meaning(case, mode)
    alone = meaning((spec, w, batch.select([batch.batch - 1])), mode)
    for name, head in spec.heads.items():
        if head.kind != "contrastive":
            close(alone.heads[name][0], whole.heads[name][-1])


@settings(max_examples=100 if is_deep() else 12)
@given(cases(), st.sampled_from([1.0, 1e4]))
def test_what_stands_past_a_length_means_nothing(
    case: tuple[Spec, dict[str, Tensor], Inputs], by: float
) -> None:
    spec, w, batch = case
    changed = dict(batch.tensors)
    for name, values in batch.tensors.items():
        if values is not None and values.is_floating_point() and values.dim() == 3:
            past = torch.arange(values.shape[1]) >= batch.lengths[name][:, None]
            changed[name] = values + by * past[..., None]
    again = run(spec, w, changed, batch.lengths, batch.targets, "train")
    before = meaning(case, "train")
    assert again.loss is not None and before.loss is not None
    assert torch.equal(again.loss, before.loss)


@settings(max_examples=100 if is_deep() else 25)
@given(cases(), MODES)
def test_losses_and_their_gradients_are_finite(
    case: tuple[Spec, dict[str, Tensor], Inputs], mode: Mode
) -> None:
    spec, w, batch = case
    free = {name: value.requires_grad_() for name, value in w.items()}
    loss = meaning((spec, free, batch), mode).loss
    assert loss is not None and bool(torch.isfinite(loss))
    if loss.requires_grad:
        found = torch.autograd.grad(loss, list(free.values()), allow_unused=True)
        assert all(bool(torch.isfinite(g).all()) for g in found if g is not None)


def test_the_gradient_of_a_ponder_with_experts_is_the_finite_difference() -> None:
    spec = one_stream(
        "depth: 1, heads: 2, halting: {kind: ponder, at_most: 3, prior: 0.4}, "
        "feed_forward: {kind: experts, experts: 3, choose: 2, balance: 0.1, width: 2}"
    )
    w = weights(spec, 1)
    names = [n for n in w if "router" in n or "halt" in n or "qkv.bias" in n]

    def loss(*values: Tensor) -> Tensor:
        changed = {**w, **dict(zip(names, values, strict=True))}
        target = {"y": torch.zeros(2, 2)}
        found = run(spec, changed, {"x": normal(2, 4, 6)}, None, target, "train").loss
        assert found is not None
        return found

    torch.autograd.gradcheck(loss, tuple(w[n].requires_grad_() for n in names))


def test_a_causal_stream_reads_no_later_token() -> None:
    spec = one_stream("depth: 2, heads: 2, attention: causal")
    w, x = weights(spec, 0), normal(1, 9, 6)
    whole = run(spec, w, {"x": x}).trace["s.tokens"][0]
    for length in (1, 4):
        part = run(spec, w, {"x": x}, {"x": torch.tensor([length])}).trace["s.tokens"][0]
        close(part, whole[:length])


def test_an_absent_source_is_a_model_without_it() -> None:
    text = (
        "mmspec: 1\nname: case\nmodalities:\n"
        "  x: {kind: series, features: 6, rate: 1 Hz, length: {max: 9}}\n"
        "  e: {kind: tokens, vocab: 5, length: {max: 4}, optional: true}\n"
        "streams: {s: {from: [x, e], depth: 2, width: 6, heads: 2}}\n"
        "heads: {y: {from: s, kind: regressor, outputs: 2}}\n"
    )
    both, alone = load(text), one_stream("depth: 2, heads: 2")
    w, x = weights(both, 0), normal(2, 9, 6)
    expected = run(alone, w, {"x": x}).heads["y"]
    assert torch.equal(run(both, w, {"x": x, "e": None}).heads["y"], expected)


NAMES = """
a_embedding.table.weight 7x6
a_embedding.position 4x6
a_to_j.weight 10x6
a_to_j.bias 10
a_stream.blocks.0.attention_norm.weight 6
a_stream.blocks.0.attention.qkv.weight 20x6
a_stream.blocks.0.attention.output.weight 6x10
a_stream.blocks.0.feed_forward_norm.weight 6
a_stream.blocks.0.feed_forward.router.weight 3x6
a_stream.blocks.0.feed_forward.up 3x6x24
a_stream.blocks.0.feed_forward.down 3x24x6
a_stream.norm.weight 6
a_stream.halt.weight 1x6
a_stream.halt.bias 1
e_embedding.weight 1x10
e_embedding.bias 1x10
e_embedding.categories.weight 5x10
j_fusion.gate.weight 20x20
j_fusion.gate.bias 20
j_stream.blocks.0.attention_norm.weight 10
j_stream.blocks.0.attention_norm.bias 10
j_stream.blocks.0.attention.qkv.weight 30x10
j_stream.blocks.0.attention.qkv.bias 30
j_stream.blocks.0.attention.output.weight 10x10
j_stream.blocks.0.attention.output.bias 10
j_stream.blocks.0.feed_forward_norm.weight 10
j_stream.blocks.0.feed_forward_norm.bias 10
j_stream.blocks.0.feed_forward.a_mlp.up.weight 9x10
j_stream.blocks.0.feed_forward.a_mlp.up.bias 9
j_stream.blocks.0.feed_forward.a_mlp.down.weight 10x9
j_stream.blocks.0.feed_forward.a_mlp.down.bias 10
j_stream.blocks.0.feed_forward.e_mlp.up.weight 9x10
j_stream.blocks.0.feed_forward.e_mlp.up.bias 9
j_stream.blocks.0.feed_forward.e_mlp.down.weight 10x9
j_stream.blocks.0.feed_forward.e_mlp.down.bias 10
next_head.output.weight 7x10
"""


def test_weights_have_the_names_of_the_page() -> None:
    spec = load(
        "mmspec: 1\nname: case\nmodalities:\n"
        "  a: {kind: tokens, vocab: 7, length: {max: 4}, position: learned}\n"
        "  e: {kind: table, columns: {c: {categories: 5}, d: number}}\n"
        "streams:\n"
        "  a:\n    from: a\n    depth: 1\n    width: 6\n    heads: 2\n    head_width: 5\n"
        "    kv_heads: 1\n    norm: rms\n    bias: false\n"
        "    feed_forward: {kind: switch, experts: 3}\n"
        "    halting: {kind: ponder, at_most: 2, prior: 0.5}\n"
        "  j:\n    from: {fusion: gated, of: [a, e]}\n    depth: 1\n    width: 10\n    heads: 2\n"
        "    feed_forward: {kind: by-modality, width: 9}\n    norm: {placement: post}\n"
        "heads: {next: {from: j, kind: language-model, tied: false}}\n"
    )
    found = {f"{n} {'x'.join(map(str, s))}" for n, s in expected_weights(spec).items()}
    assert found == set(NAMES.strip().splitlines())
