"""Blocks and stacks against loops: norms, their placement, dropout, pooling, validity."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import large
import naive
import pytest
import torch
from part_case import (
    NORM,
    PLACES,
    attention,
    block,
    filled,
    normal,
    same,
    same_gradients,
    stacked,
    valid_until,
    weights,
)
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import visible_keys
from mmspec.compiler.parts.rotary import rotation
from mmspec.compiler.parts.routing import Routing
from mmspec.compiler.parts.stream import Block, Stack, join_valid, mean_pool

B, T, D = 2, 5, 12
LENGTHS = [5, 3]
COUNTS = (2, 3)
NO_TURN = (torch.ones(0), torch.zeros(0))
KINDS: dict[str, ir.FeedForward] = {
    "mlp": ir.Mlp(7, "gelu", True),
    "glu": ir.Glu(7, "silu", False),
    "experts": ir.Experts(5, "gelu-tanh", 3, 2, True, 0.01),
    "by-modality": ir.ByModality(7, "quick-gelu", True, segments=("a", "b")),
}
NORMS: dict[str, ir.Norm] = {
    "layer": ir.LayerNorm(1e-3, True),
    "bare": ir.LayerNorm(1e-3, False),
    "rms": ir.RmsNorm(1e-3),
    "group": ir.GroupNorm(1e-3, True, 3),
    "bare group": ir.GroupNorm(1e-3, False, 2),
}


NAMES = {
    "pre": ["norm"],
    "post": ["norm"],
    "sandwich": ["norm", "norm_after"],
    "branch": ["norm_after"],
    "none": [],
}
"""The norms of a sub-layer, by where they are."""


def groups(norm: ir.Norm) -> int:
    """Of how many runs of features it is."""
    return norm.groups if isinstance(norm, ir.GroupNorm) else 1


def feed_forward(w: naive.Weights, kind: str, x: naive.Vector, at: int) -> naive.Vector:
    """A layer of KINDS on the token at that place."""
    if kind == "mlp":
        return naive.mlp(w, x, "gelu")
    if kind == "glu":
        return naive.glu(w, x, "silu")
    if kind == "experts":
        return naive.experts(w, x, 2, "gelu-tanh", True)[0]
    segment = "a" if at < COUNTS[0] else "b"
    return naive.mlp(naive.under(w, f"{segment}_mlp"), x, "quick-gelu")


def added(a: naive.Matrix, b: naive.Matrix) -> naive.Matrix:
    """The sum of two lists of vectors."""
    return [[x + y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def one_block(
    w: naive.Weights, x: naive.Matrix, kind: str, one: ir.Sublayer, length: int
) -> naive.Matrix:
    """A block as docs/language.md writes it, for one sample."""

    def normed(norm: ir.Norm | None, name: str, rows: naive.Matrix) -> naive.Matrix:
        if norm is None:
            return rows
        return [naive.norm(w, name, row, norm.eps, norm.name, groups(norm)) for row in rows]

    def attend(rows: naive.Matrix) -> naive.Matrix:
        sees = [[k < length for k in range(T)]] * T
        return naive.self_attention(naive.under(w, "attention"), rows, sees, (3, 3, 4))

    def forward(rows: naive.Matrix) -> naive.Matrix:
        inner = naive.under(w, "feed_forward")
        return [feed_forward(inner, kind, row, at) for at, row in enumerate(rows)]

    for name, mix in (("attention", attend), ("feed_forward", forward)):
        y = mix(normed(one.before, f"{name}_norm", x))
        y = added(x, normed(one.after, f"{name}_norm_after", y))
        x = normed(one.post, f"{name}_norm", y)
    return x


def expected(part: Block, x: Tensor, kind: str, one: ir.Sublayer) -> Tensor:
    """The block's loops over the batch."""
    runs = [one_block(weights(part), naive.vectors(x[b]), kind, one, LENGTHS[b]) for b in range(B)]
    return torch.stack([naive.stacked(run) for run in runs])


BLOCKS = list(product(KINDS, PLACES, NORMS))
IN_PAIRS = [
    (kind, placement, norm)
    for (i, kind), (j, placement), (k, norm) in product(
        enumerate(KINDS), enumerate(PLACES), enumerate(NORMS)
    )
    if i == (j + k) % len(KINDS)
]
"""Some of them: every kind at every placement, with every norm, and every norm at every one."""


@pytest.mark.deep
@pytest.mark.parametrize(("kind", "placement", "norm"), large.part(BLOCKS, IN_PAIRS))
def test_a_block(kind: str, placement: str, norm: str) -> None:
    made = block(KINDS[kind], norm=NORMS[norm], placement=placement)
    part, x = filled(Block(made)), normal(B, T, D)
    norms = {name for name in weights(part) if "attention_norm" in name and "bias" not in name}
    assert norms == {f"attention_{name}.weight" for name in NAMES[placement]}
    biases = {name for name in weights(part) if "attention_norm" in name and "bias" in name}
    assert bool(biases) is (NORMS[norm].biased and placement != "none")
    valid = valid_until(LENGTHS, T)
    found = part(x, visible_keys(valid), NO_TURN, (), valid, COUNTS, list[Routing](), (), x, ())
    same_gradients(found, expected(part, x, kind, made.sublayers[0]), [x, *part.parameters()])


def read(
    w: naive.Weights,
    one: ir.Sublayer,
    x: naive.Matrix,
    others: naive.Matrix,
    sizes: tuple[int, ...],
) -> naive.Matrix:
    """A block of one `cross` as docs/language.md writes it, for one sample."""
    heads, kv_heads, width = sizes
    rows = [naive.norm(w, "cross_norm", row, 1e-5) for row in x] if one.before else x
    inner = naive.under(w, "cross")
    keyed = [naive.norm(inner, "context_norm", row, 1e-5) for row in others]
    pairs = [naive.linear(inner, "key_value", row) for row in keyed]
    given: naive.Matrix = []
    for q in (naive.linear(inner, "query", row) for row in rows):
        joined: naive.Vector = []
        for head in range(heads):
            at = head // (heads // kv_heads) * width
            keys = [pair[at : at + width] for pair in pairs]
            values = [pair[kv_heads * width + at :][:width] for pair in pairs]
            query = q[head * width : (head + 1) * width]
            joined += naive.read(query, keys, values, [True] * len(pairs))
        y = naive.linear(inner, "output", joined)
        given.append(naive.norm(w, "cross_norm_after", y, 1e-5) if one.after else y)
    return added(x, given) if others else x


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("placement", ["pre", "sandwich"])
def test_a_cross_reads_another_stream_and_adds_nothing_where_that_has_no_token(
    placement: str, bias: bool
) -> None:
    other = ir.Value("other", (), 8)
    site = replace(attention(4, 2, 3, bias=bias), read=other, key_width=8, key_norm=NORM)
    made = block(attention=site, placement=placement)
    one = replace(made.sublayers[0], name="cross")
    part = filled(Block(replace(made, sublayers=(one,))))
    assert ("cross.output.bias" in weights(part)) is bias
    x, context, lengths = normal(3, T, D), normal(3, 4, 8), [4, 2, 0]
    valid = visible_keys(valid_until(lengths, 4))
    found = part(x, valid, NO_TURN, (), None, COUNTS, list[Routing](), (), context, ())
    runs = [
        read(weights(part), one, naive.vectors(x[b]), naive.vectors(context[b, :n]), (4, 2, 3))
        for b, n in enumerate(lengths)
    ]
    expected = torch.stack([naive.stacked(run) for run in runs])
    same_gradients(found, expected, [x, context, *part.parameters()])
    assert torch.equal(found[2], x[2]), "no bias either"
    nothing = part(x, None, NO_TURN, (), None, COUNTS, list[Routing](), (), context[:, :0], ())
    assert torch.equal(nothing, x)


def test_what_a_sub_layer_gives_is_scaled_by_what_is_learned() -> None:
    made = block()
    learned: tuple[ir.Weighing, ...] = ir.LayerScale(0.3), ir.Gate()
    sublayers = zip(made.sublayers, learned, strict=True)
    scaled = replace(made, sublayers=tuple(replace(one, weighed=by) for one, by in sublayers))
    part, x = Block(scaled), normal(B, T, D)
    first, gate = (
        weights(part)["attention_scale.weight"],
        weights(part)["feed_forward_scale.weight"],
    )
    assert first.tolist() == pytest.approx([0.3] * D) and gate.tolist() == [0]
    part = filled(part)
    plain = filled(Block(made))
    plain.load_state_dict(part.state_dict(), strict=False)
    rest = (None, NO_TURN, (), None, COUNTS, list[Routing](), (), x, ())
    norms, mixers = (
        [plain.get_submodule(f"{name}{end}") for name in ("attention", "feed_forward")]
        for end in ("_norm", "")
    )
    middle = x + mixers[0](norms[0](x), *rest[:4]) * first
    wanted = middle + mixers[1](norms[1](middle)) * torch.tanh(gate)
    same(part(x, *rest), wanted)


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_dropout_is_on_both_outputs_and_in_training_only(placement: str) -> None:
    made = block(placement=placement, dropout=0.4)
    part, x = filled(Block(made)), normal(B, T, D)
    arguments = (None, NO_TURN, (), None, COUNTS, list[Routing](), (), x, ())
    masks: list[Tensor] = []

    def record(_: object, inputs: tuple[Tensor], output: Tensor) -> None:
        masks.append((output != 0).double())
        same(output, inputs[0] * masks[-1] / 0.6)

    part.dropout.register_forward_hook(record)
    trained = part.train()(x, *arguments)
    assert len(masks) == 2 and all(0.2 < mask.mean() < 0.95 for mask in masks)
    masks.clear()
    torch.manual_seed(0)
    assert not torch.equal(part(x, *arguments), trained)
    plain = filled(Block(block(placement=placement)))
    plain.load_state_dict(part.state_dict())
    part = part.eval()
    part.dropout._forward_hooks.clear()
    assert torch.equal(part(x, *arguments), plain(x, *arguments))


@pytest.mark.parametrize("final_norm", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_a_stack_is_its_blocks_and_a_norm(final_norm: bool, norm: str) -> None:
    made = block(norm=NORMS[norm], attention=attention(rotary=True, causal=True))
    last = NORMS[norm] if final_norm else None
    part, x = (
        filled(Stack(*stacked(made, depth=3, final_norm=last))),
        normal(B, T, D),
    )
    assert {name.partition(".")[0] for name in weights(part)} == (
        {"blocks", "norm"} if final_norm else {"blocks"}
    )
    positions = torch.tensor([0, 0, 0, 1, 2])
    y = x
    for index in range(3):
        turn = rotation(positions, 4)
        y = part.blocks[index](y, None, turn, (), None, COUNTS, list[Routing](), (), x, ())
    if final_norm:
        rows = [
            naive.norm(weights(part), "norm", v, 1e-3, NORMS[norm].name, groups(NORMS[norm]))
            for v in naive.vectors(y[0])
        ]
        y = torch.stack([naive.stacked(rows), part.norm(y)[1]])
    found = part(x, None, positions, None, COUNTS, list[Routing](), (), x, ())
    same_gradients(found, y, [x, *part.parameters()])


def test_layers_of_several_kinds_read_masks_of_their_own_and_run_as_often_as_said() -> None:
    """Of five layers the third is of another kind; all five are run twice."""
    made = [block(attention=attention(heads, kv_heads=1)) for heads in (3, 2)]
    placed = [
        replace(one, sublayers=tuple(replace(each, place=place) for each in one.sublayers))
        for place, one in enumerate(made)
    ]
    part = filled(Stack(*stacked(*placed, depth=5, order=(0, 0, 1), repeat=2)))
    shapes = {name: len(x) for name, x in weights(part).items() if name.endswith("qkv.weight")}
    assert [*shapes.values()] == [20, 20, 16, 20, 20], "rows of queries, keys and values"
    x, masks = normal(B, T, D), tuple(torch.rand(1, 1, T, T) > 0.4 for _ in range(2))
    y = x
    for _ in range(2):
        for layer, place in zip(part.blocks, (0, 0, 1, 0, 0), strict=True):
            y = layer(y, masks[place], NO_TURN, (), None, COUNTS, list[Routing](), masks, x, ())
    found = part(x, None, torch.zeros(T), None, COUNTS, list[Routing](), masks, x, ())
    same_gradients(found, y, [x, *part.parameters()])
    with pytest.raises(AssertionError):
        same(part(x, None, torch.zeros(T), None, COUNTS, list[Routing](), masks[::-1], x, ()), y)


def test_every_layer_reports_its_routing() -> None:
    part, x = (
        filled(Stack(*stacked(block(KINDS["experts"]), depth=3, final_norm=NORM))),
        normal(B, T, D),
    )
    routing: list[Routing] = []
    part(x, None, torch.zeros(T), None, COUNTS, routing, (), x, ())
    assert [layer.load_e.shape for layer in routing] == [(3,)] * 3


def test_mean_pool_skips_invalid_tokens() -> None:
    x, lengths = normal(4, 5, 7), [5, 2, 0, 1]
    rows = [
        naive.mean(naive.vectors(x[b]), [t < lengths[b] for t in range(5)], 7) for b in range(4)
    ]
    same_gradients(mean_pool(x, valid_until(lengths, 5)), naive.stacked(rows), [x])
    same(mean_pool(x, None), mean_pool(x, valid_until([5] * 4, 5)))
    with_nan = x.detach().clone()
    with_nan[1, 3] = torch.nan
    assert mean_pool(with_nan, valid_until(lengths, 5)).isfinite().all()
    nothing = torch.zeros(4, 7, dtype=torch.float64)
    assert torch.equal(mean_pool(x[:, :0], None), nothing)
    assert torch.equal(mean_pool(x[:, :0], valid_until(lengths, 0)), nothing)


def test_join_valid() -> None:
    parts = (normal(2, 3, 1), normal(2, 2, 1), normal(2, 0, 1))
    assert join_valid(parts, (None, None, None)) is None
    found = join_valid(parts, (None, valid_until([1, 0], 2), None))
    assert found is not None
    assert found.tolist() == [[True, True, True, True, False], [True, True, True, False, False]]
