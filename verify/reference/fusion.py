"""Fusion: how the sources of a stream become one sequence, for one sample."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from mmspec.schema import fusion as kinds
from mmspec.schema.attention import FULL
from mmspec.schema.norm import LayerNorm
from mmspec.schema.routing import Mlp
from mmspec.schema.stream import Stream
from mmspec.verify.reference import attention, norm
from mmspec.verify.reference.arithmetic import (
    Shapes,
    Weights,
    linear,
    linear_shapes,
    sigmoid,
    softmax,
)
from mmspec.verify.reference.places import Layout
from mmspec.verify.reference.sequence import Run, Sequence, joined, mean_or_zero, with_tokens
from mmspec.verify.reference.stream import (
    Layer,
    Notes,
    block,
    block_shapes,
    place_of,
    usual,
)

EPS = 1e-5


Fused = tuple[Sequence, dict[str, Tensor]]
"""A sequence, and statistics by name."""


def fuse(name: str, stream: Stream, w: Weights, sources: list[Sequence]) -> Fused:
    """The sequence of stream `name` from its sources (of its width), and what it tells of it."""
    fusion, heads = stream.source, stream.source.attending(stream.heads) or 0
    match fusion:
        case kinds.Concat():
            return _all(sources), {}
        case kinds.Gated():
            return _gated(w, sources)
        case kinds.Latents():
            read = _context(w, w["queries"], joined(_all(sources)), heads, None)
            return (Run(name, w["queries"] + read, Layout(read.shape[0])),), {}
        case kinds.CrossAttention():
            return _cross(fusion, w, sources, heads), {}
        case kinds.Film():
            return _film(w, sources), {}
        case kinds.SigmoidGated() | kinds.WeightedSum() | kinds.Bilinear():
            return _blended(name, fusion, w, sources), {}
        case kinds.Transformer():
            return _transformer(fusion, stream, w, sources), {}


def _all(sources: Iterable[Sequence]) -> Sequence:
    return tuple(run for source in sources for run in source)


def _gated(w: Weights, sources: list[Sequence]) -> Fused:
    """Sources times a softmax, per feature, over those that have a token."""
    tokens = [joined(source) for source in sources]
    pooled = torch.stack([mean_or_zero(x) for x in tokens])
    logits = linear(pooled.reshape(-1), w.at("gate")).reshape(pooled.shape)
    present = [m for m, x in enumerate(tokens) if x.shape[0]]
    rows = {}
    if present:
        shares = softmax(torch.stack([logits[m] for m in present]).T).T
        rows = dict(zip(present, shares, strict=True))
    absent = torch.zeros(pooled.shape[1], dtype=torch.float64)
    gates = torch.stack([rows.get(m, absent) for m in range(len(sources))])
    scaled = (
        with_tokens(source, x * g) for source, x, g in zip(sources, tokens, gates, strict=True)
    )
    return _all(scaled), {"gates": gates}


def _context(w: Weights, x: Tensor, context: Tensor, heads: int, seen: Tensor | None) -> Tensor:
    """A(norm_query(x), norm_context(context)): x [n, D], context [m, D], seen bool [H, n, m]."""
    inner = w.at("attention")
    width = x.shape[1] // heads
    q = linear(norm.layer(x, inner.at("norm_query"), EPS), inner.at("query"))
    kv = linear(norm.layer(context, inner.at("norm_context"), EPS), inner.at("key_value"))
    k, v = kv[:, : x.shape[1]], kv[:, x.shape[1] :]
    if seen is None:
        seen = torch.ones(heads, x.shape[0], context.shape[0], dtype=torch.bool)
    outputs = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        outputs.append(attention.attend(q[:, part], k[:, part], v[:, part], seen[head])[0])
    return inner.note(linear(torch.cat(outputs, 1), inner.at("output"), bias=False))


def _cross(
    fusion: kinds.CrossAttention, w: Weights, sources: list[Sequence], heads: int
) -> Sequence:
    first, context = sources[0], _all(sources[1:])
    queries, keys = (tuple(run.side for run in runs) for runs in (first, context))
    seen = attention.matrices(fusion.attention, heads, queries, keys)
    x = joined(first)
    return with_tokens(first, x + _context(w, x, joined(context), heads, seen))


def _film(w: Weights, sources: list[Sequence]) -> Sequence:
    """x (1 + scale) + shift, both of the mean of all other tokens; x where there are none."""
    x, others = joined(sources[0]), joined(_all(sources[1:]))
    if not others.shape[0]:
        return sources[0]
    scale, shift = linear(mean_or_zero(others), w.at("modulation")).reshape(2, -1)
    return with_tokens(sources[0], x * (1 + scale) + shift)


Blending = kinds.SigmoidGated | kinds.WeightedSum | kinds.Bilinear


def _blended(name: str, fusion: Blending, w: Weights, sources: list[Sequence]) -> Sequence:
    """A vector of all means, or for each token of the first source one of it and other means."""
    tokens = [joined(source) for source in sources]
    means = {m: mean_or_zero(x) for m, x in enumerate(tokens) if len(x)}
    if fusion.pool == "all":
        made = _blend(fusion, w, means) if means else torch.zeros_like(mean_or_zero(tokens[0]))
        return (Run(name, made[None], Layout(1)),)
    rows = [_blend(fusion, w, {**means, 0: row}) for row in tokens[0]]
    return with_tokens(sources[0], torch.stack(rows) if rows else tokens[0])


def _blend(fusion: Blending, w: Weights, read: dict[int, Tensor]) -> Tensor:
    """Of a vector [D] of each source that is there, by its place."""
    match fusion:
        case kinds.SigmoidGated():
            gates = {m: sigmoid(linear(h, w.at(f"gates.{m}"))) for m, h in read.items()}
            return torch.stack([gates[m] * h for m, h in read.items()]).sum(0)
        case kinds.WeightedSum():
            scores = torch.cat([linear(h, w.at("score"), bias=False) for h in read.values()])
            return softmax(scores) @ torch.stack([*read.values()])
        case kinds.Bilinear():
            factors = [linear(h, w.at(f"factors.{m}")) for m, h in read.items()]
            return linear(torch.stack(factors).prod(0), w.at("output"), bias=False)


def _layer(width: int, heads: int) -> Layer:
    """The block of a transformer fusion."""
    return Layer(width, heads, heads, width // heads, Mlp(), LayerNorm(eps=EPS), True, None)


def _transformer(
    fusion: kinds.Transformer, stream: Stream, w: Weights, sources: list[Sequence]
) -> Sequence:
    marked = [
        with_tokens(source, joined(source) + mark)
        for source, mark in zip(sources, w["source"], strict=True)
    ]
    sequence = _all(marked)
    layer = _layer(stream.width, fusion.heads or stream.heads)
    place = place_of(sequence, {"attention": (FULL, layer.heads)}, rotary=False)
    x = joined(sequence)
    for i in range(fusion.depth):
        x = block(x, usual(layer), w.at(f"blocks.{i}"), place, Notes())
    return with_tokens(sequence, x)


def shapes(stream: Stream) -> Shapes:
    """Names and shapes of the weights of a stream's fusion."""
    fusion, width, count = stream.source, stream.width, len(stream.source.of)
    match fusion:
        case kinds.Concat():
            return {}
        case kinds.Gated():
            return linear_shapes("gate", count * width, count * width)
        case kinds.Latents(queries=queries):
            return {"queries": (queries, width)} | _context_shapes(width)
        case kinds.CrossAttention():
            return _context_shapes(width)
        case kinds.Film():
            return linear_shapes("modulation", width, 2 * width)
        case kinds.SigmoidGated():
            return _of_each("gates", count, width, width)
        case kinds.WeightedSum():
            return linear_shapes("score", width, 1, bias=False)
        case kinds.Bilinear(rank=rank):
            mixed = linear_shapes("output", rank, width, bias=False)
            return _of_each("factors", count, width, rank) | mixed
        case kinds.Transformer(depth=depth, heads=heads):
            inner = block_shapes(usual(_layer(width, heads or stream.heads)), ())
            blocks = (
                {f"blocks.{i}.{name}": shape for name, shape in inner.items()} for i in range(depth)
            )
            found: Shapes = {"source": (count, width)}
            for block_ in blocks:
                found |= block_
            return found


def _of_each(name: str, count: int, inputs: int, outputs: int) -> Shapes:
    found: Shapes = {}
    for m in range(count):
        found |= linear_shapes(f"{name}.{m}", inputs, outputs)
    return found


def _context_shapes(width: int) -> Shapes:
    inner = (
        norm.shapes("norm_query", width, LayerNorm(), bias=True)
        | norm.shapes("norm_context", width, LayerNorm(), bias=True)
        | linear_shapes("query", width, width)
        | linear_shapes("key_value", width, 2 * width)
        | linear_shapes("output", width, width, bias=False)
    )
    return {f"attention.{name}": shape for name, shape in inner.items()}
