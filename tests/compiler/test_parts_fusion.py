"""Fusions against loops: gates over who is there, latents, cross-attention, marked sources."""

from __future__ import annotations

import naive
import pytest
import torch
from part_case import block, filled, normal, same, same_gradients, valid_until, weights
from torch import Tensor

from mmspec.compiler.parts.attention import visible, visible_keys
from mmspec.compiler.parts.fusion import (
    AttentionFusion,
    BilinearFusion,
    CrossAttentionFusion,
    FilmFusion,
    GatedFusion,
    SigmoidGatedFusion,
    TransformerFusion,
    WeightedSumFusion,
)
from mmspec.compiler.parts.routing import Routing

B, D = 4, 6
SIZES = (3, 5, 2)
LENGTHS = ([3, 1, 0, 0], [5, 0, 2, 0], [2, 0, 1, 0])
"""Valid tokens of each source by sample: all there, one there, one absent, none at all."""


def sources() -> tuple[Tensor, ...]:
    """Three sources of different lengths."""
    return tuple(normal(B, size, D) for size in SIZES)


def valids() -> tuple[Tensor, ...]:
    """Their validity."""
    return tuple(valid_until(lengths, size) for lengths, size in zip(LENGTHS, SIZES, strict=True))


def gates(part: GatedFusion, parts: tuple[Tensor, ...], b: int, counts: list[int]) -> Tensor:
    """The gates [n, D] of a sample whose sources hold so many valid tokens."""
    pooled: naive.Vector = []
    for x, count in zip(parts, counts, strict=True):
        pooled += naive.mean(naive.vectors(x[b, :count]) if count else [], [True] * count, D)
    scores = naive.linear(weights(part), "gate", pooled)
    rows = [[naive.zero() for _ in range(D)] for _ in parts]
    present = [m for m, count in enumerate(counts) if count]
    for i in range(D):
        shares = naive.softmax([scores[m * D + i] for m in present])
        for m, share in zip(present, shares, strict=True):
            rows[m][i] = share
    return naive.stacked(rows)


def test_gates_weigh_the_sources_that_are_there() -> None:
    part = filled(GatedFusion(3, D))
    parts = sources()
    out, found = part(parts, valids())
    expected = [gates(part, parts, b, [lengths[b] for lengths in LENGTHS]) for b in range(B)]
    leaves = [*parts, *part.parameters()]
    same_gradients(found, torch.stack(expected), leaves)
    pieces = []
    for m, x in enumerate(parts):
        pieces.append(torch.stack([x[b] * expected[b][m] for b in range(B)]))
    same_gradients(out, torch.cat(pieces, dim=1), leaves)
    assert torch.equal(found[3], torch.zeros(3, D, dtype=torch.float64))
    same(found[:3].sum(1), torch.ones(3, D, dtype=torch.float64))


def test_a_source_without_tokens_has_no_gate() -> None:
    """An absent modality is [B, 0, D] with every token of it valid."""
    part = filled(GatedFusion(3, D))
    parts = sources()
    empty = (parts[0], parts[1][:, :0], parts[2])
    _, found = part(empty, (None, None, None))
    assert torch.equal(found[:, 1], torch.zeros(B, D, dtype=torch.float64))
    expected = [gates(part, empty, b, [3, 0, 2]) for b in range(B)]
    same(found, torch.stack(expected))


def test_what_an_absent_source_holds_changes_nothing() -> None:
    part = filled(GatedFusion(3, D))
    parts = sources()
    out, found = part(parts, valids())
    other = parts[1].detach().clone()
    other[1] = 1e6
    again, gated = part((parts[0], other, parts[2]), valids())
    same(gated[1], found[1])
    same(again[1, :3], out[1, :3])


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_large_scores_leave_an_absent_source_out(scale: float) -> None:
    part = filled(GatedFusion(2, D)).float()
    with torch.no_grad():
        part.gate.bias.fill_(-scale)
    parts = (torch.zeros(1, 3, D), torch.zeros(1, 5, D))
    _, found = part(parts, (valid_until([0], 3), valid_until([5], 5)))
    assert torch.equal(found[0], torch.stack([torch.zeros(D), torch.ones(D)]))


def reading(part: AttentionFusion, parts: tuple[Tensor, ...], sees: list[bool], b: int) -> Tensor:
    """The latents of one sample."""
    context = naive.vectors(torch.cat([x[b] for x in parts]))
    queries = naive.vectors(part.queries)
    inner = naive.under(weights(part), "attention")
    read = naive.cross_attention(inner, queries, context, [sees] * len(queries), 3)
    return part.queries + naive.stacked(read)


@pytest.mark.parametrize("padded", [False, True])
def test_latents_read_all_tokens(padded: bool) -> None:
    part = filled(AttentionFusion(7, D, 3))
    parts = sources()
    given = valids() if padded else (None, None, None)
    found = part(parts, given)
    assert found.shape == (B, 7, D)
    for b in range(B):
        counts = [lengths[b] for lengths in LENGTHS] if padded else SIZES
        sees = [t < n for n, size in zip(counts, SIZES, strict=True) for t in range(size)]
        leaves = [*parts, *part.parameters()]
        same_gradients(found[b], reading(part, parts, sees, b), leaves)
    if padded:
        assert torch.equal(found[3], part.queries)


@pytest.mark.parametrize("kind", ["full", "padded", "masked"])
def test_the_first_source_reads_the_others(kind: str) -> None:
    part = filled(CrossAttentionFusion(D, 2))
    parts = sources()
    valid = torch.cat(valids()[1:], dim=1)
    pattern = torch.tensor([[(q + k) % 3 == 0 for k in range(7)] for q in range(3)])
    pattern[2] = False
    mask = {
        "full": None,
        "padded": visible_keys(valid),
        "masked": visible(pattern, valid),
    }[kind]
    found = part(parts[0], torch.cat(parts[1:], dim=1), mask, None, ())
    inner = naive.under(weights(part), "attention")
    for b in range(B):
        rows = [[True] * 7] * 3
        if kind != "full":
            shown = torch.ones(3, 7, dtype=torch.bool) if kind == "padded" else pattern
            rows = (shown & valid[b]).tolist()
        context = naive.vectors(torch.cat([parts[1][b], parts[2][b]]))
        read = naive.cross_attention(inner, naive.vectors(parts[0][b]), context, rows, 2)
        expected = parts[0][b] + naive.stacked(read)
        same_gradients(found[b], expected, [*parts, *part.parameters()])
    if kind == "masked":
        assert torch.equal(found[:, 2], parts[0][:, 2])


@pytest.mark.parametrize("padded", [False, True])
def test_a_transformer_over_marked_sources(padded: bool) -> None:
    part = filled(TransformerFusion(3, 2, block()))
    parts = tuple(normal(B, size, 12) for size in SIZES)
    given = valids() if padded else (None, None, None)
    turn, routing = (torch.ones(0), torch.zeros(0)), list[Routing]()
    found = part(parts, given, turn, SIZES, routing)
    assert part.source.shape == (3, 12)
    for b in range(B):
        x = torch.cat([x[b] + part.source[m] for m, x in enumerate(parts)])[None]
        counts = [lengths[b] for lengths in LENGTHS] if padded else SIZES
        sees = [t < n for n, size in zip(counts, SIZES, strict=True) for t in range(size)]
        for layer in part.blocks:
            seen = torch.tensor(sees)[None, None, None]
            x = layer(x, seen, turn, (), None, SIZES, routing, (), x, ())
        same_gradients(found[b], x[0], [*parts, *part.parameters()])
    assert routing == []


def filmed(part: FilmFusion, x: Tensor, others: list[Tensor]) -> Tensor:
    """y = x (1 + scale) + shift of one sample, x where there is nothing else."""
    tokens = [row for other in others for row in naive.vectors(other)]
    if not tokens:
        return x
    change = naive.linear(weights(part), "modulation", naive.mean(tokens, [True] * len(tokens), D))
    scale, shift = change[:D], change[D:]
    rows = [
        [value * (1 + a) + b for value, a, b in zip(row, scale, shift, strict=True)]
        for row in naive.vectors(x)
    ]
    return naive.stacked(rows)


@pytest.mark.parametrize("told", [True, False])
def test_film_scales_and_shifts_by_the_mean_of_the_others(told: bool) -> None:
    part, parts = filled(FilmFusion(D)), sources()
    lengths = LENGTHS if told else tuple([size] * B for size in SIZES)
    context = torch.cat(parts[1:], dim=1)
    out = part(parts[0], context, torch.cat(valids()[1:], dim=1) if told else None)
    expected = [
        filmed(
            part, parts[0][b], [x[b, : n[b]] for x, n in zip(parts[1:], lengths[1:], strict=True)]
        )
        for b in range(B)
    ]
    same_gradients(out, torch.stack(expected), [*parts, *part.parameters()])


def test_film_of_nothing_is_the_first_source() -> None:
    part, x = filled(FilmFusion(D)), normal(B, 3, D)
    empty = torch.zeros(B, 0, D, dtype=torch.float64)
    assert torch.equal(part(x, empty, None), x)
    assert torch.equal(part(x, normal(B, 2, D), valid_until([0] * B, 2)), x)


Blending = SigmoidGatedFusion | WeightedSumFusion | BilinearFusion


def blending(kind: str, pooled: bool, count: int = 3) -> Blending:
    """A fusion of so many sources by one vector each."""
    if kind == "gates":
        return filled(SigmoidGatedFusion(count, D, pooled))
    if kind == "weights":
        return filled(WeightedSumFusion(D, pooled))
    return filled(BilinearFusion(count, D, 5, pooled))


def blended(part: Blending, read: dict[int, naive.Vector]) -> naive.Vector:
    """What is made of one vector of each source that is there."""
    w = weights(part)
    if not read:
        return [naive.zero() for _ in range(D)]
    if isinstance(part, SigmoidGatedFusion):
        gates = {m: naive.linear(w, f"gates.{m}", h) for m, h in read.items()}
        terms = {
            m: [x / (1 + (-g).exp()) for x, g in zip(read[m], gates[m], strict=True)] for m in read
        }
        return [sum((term[i] for term in terms.values()), naive.zero()) for i in range(D)]
    if isinstance(part, WeightedSumFusion):
        shares = naive.softmax([naive.linear(w, "score", h)[0] for h in read.values()])
        terms = {m: [a * x for x in h] for a, (m, h) in zip(shares, read.items(), strict=True)}
        return [sum((term[i] for term in terms.values()), naive.zero()) for i in range(D)]
    product = [naive.zero() + 1 for _ in range(5)]
    for m, h in read.items():
        factor = naive.linear(w, f"factors.{m}", h)
        product = [a * b for a, b in zip(product, factor, strict=True)]
    return naive.linear(w, "output", product)


def read_of(parts: tuple[Tensor, ...], b: int, counts: list[int]) -> dict[int, naive.Vector]:
    """The means of a sample's sources that have tokens, by their places."""
    return {
        m: naive.mean(naive.vectors(x[b, :count]), [True] * count, D)
        for m, (x, count) in enumerate(zip(parts, counts, strict=True))
        if count
    }


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("kind", ["gates", "weights", "product"])
def test_one_vector_of_each_source_that_is_there(kind: str, pooled: bool) -> None:
    part, parts = blending(kind, pooled), sources()
    out = part(parts, valids())
    assert out.shape == (B, 1 if pooled else SIZES[0], D)
    for b in range(B):
        counts = [lengths[b] for lengths in LENGTHS]
        read = read_of(parts, b, counts)
        rows = [None] if pooled else naive.vectors(parts[0][b, : counts[0]])
        for t, row in enumerate(rows):
            own = read if row is None else {**read, 0: row}
            expected = torch.stack(blended(part, own))
            if not own:
                assert torch.equal(out[b, t], expected)
                continue
            same_gradients(out[b, t], expected, [*parts, *part.parameters()])


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("kind", ["gates", "weights", "product"])
@pytest.mark.parametrize("told", [True, False])
def test_without_a_source_it_is_the_fusion_of_the_others(
    kind: str, pooled: bool, told: bool
) -> None:
    """Its output is the smaller model's to the bit, and what made the source gets exactly 0."""
    part, smaller, parts = blending(kind, pooled), blending(kind, pooled, 2), sources()
    kept = {name.replace(".2.", ".1."): x for name, x in part.state_dict().items()}
    smaller.load_state_dict({name: kept[name] for name in smaller.state_dict()})
    with torch.no_grad():
        for name, x in smaller.named_parameters():
            x.copy_(dict(part.named_parameters())[name.replace(".1.", ".2.")])
    gone = parts[1] if told else parts[1][:, :0]
    absent = valid_until([0] * B, SIZES[1]) if told else None
    given = (None, absent, None)
    out = part((parts[0], gone, parts[2]), given)
    assert torch.equal(out, smaller((parts[0], parts[2]), (None, None)))
    own = [x for name, x in part.named_parameters() if ".1." in name]
    found = torch.autograd.grad(out.sum(), [gone, *own], allow_unused=True)
    assert all(x is None or not x.any() for x in found)
