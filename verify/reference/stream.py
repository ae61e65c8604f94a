"""Stream: blocks of attention and feed-forward over the tokens of one sample."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmspec.schema.attention import Attention
from mmspec.schema.norm import Norm
from mmspec.schema.routing import FeedForward
from mmspec.schema.scores import Scores
from mmspec.schema.stream import Stream
from mmspec.verify.reference import attention, norm, routing
from mmspec.verify.reference import scores as relative
from mmspec.verify.reference.arithmetic import (
    Shapes,
    Weights,
    linear,
    linear_shapes,
)
from mmspec.verify.reference.norm import normalise
from mmspec.verify.reference.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Layer:
    """What one block is made of."""

    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: FeedForward
    norm: Norm
    bias: bool
    scores: Scores | None = None


def layer_of(stream: Stream) -> Layer:
    """The block of a stream."""
    return Layer(
        stream.width,
        stream.heads,
        stream.kv_heads,
        stream.head_width,
        stream.feed_forward,
        stream.norm,
        stream.bias,
        stream.scores,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where one sample's tokens stand: segments, who sees whom [H, n, n], what rotary turns by."""

    counts: attention.Counts
    seen: Tensor
    turns: list[int]


@dataclass(slots=True)
class Notes:
    """What the blocks of one sample did, in the order they ran."""

    routed: list[routing.Routed] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)


def place_of(sequence: Sequence, mask: Attention, heads: int, rotary: bool = True) -> Place:
    """The place of a sequence under a mask; tokens that rotary does not turn keep angle 0."""
    counts = tuple((run.segment, run.count) for run in sequence)
    sides = tuple(run.side for run in sequence)
    turned = [run.turns if rotary and run.turns else (0,) * run.count for run in sequence]
    turns = [turn for row in turned for turn in row]
    return Place(counts, attention.matrices(mask, heads, sides, sides), turns)


def block(x: Tensor, layer: Layer, w: Weights, place: Place, notes: Notes) -> Tensor:
    """One block over the tokens x [n, D] of one sample."""
    for sublayer in (_attention, _feed_forward):
        name = "attention_norm" if sublayer is _attention else "feed_forward_norm"
        if layer.norm.placement == "pre":
            inner = normalise(x, w.at(name), layer.norm, layer.bias)
            x = x + sublayer(inner, layer, w, place, notes)
        else:
            x = x + sublayer(x, layer, w, place, notes)
            x = normalise(x, w.at(name), layer.norm, layer.bias)
    return w.note(x)


def _feed_forward(x: Tensor, layer: Layer, w: Weights, place: Place, notes: Notes) -> Tensor:
    y, routed = routing.feed_forward(
        x, layer.feed_forward, w.at("feed_forward"), layer.bias, place.counts
    )
    if routed is not None:
        notes.routed.append(routed)
    return w.at("feed_forward").note(y)


def _attention(x: Tensor, layer: Layer, w: Weights, place: Place, notes: Notes) -> Tensor:
    """Self-attention: rows of `qkv` are q, k, v, each one head after the other."""
    width, heads, shared = layer.head_width, layer.heads, layer.kv_heads
    projected = linear(x, w.at("attention.qkv"), layer.bias)
    pieces = [projected[:, i * width : (i + 1) * width] for i in range(heads + 2 * shared)]
    outputs, weights = [], []
    added: list[Tensor | None] = [None] * heads
    if layer.scores is not None:
        added = [*relative.added(layer.scores, heads, place.counts)]
    for head in range(heads):
        key = head // (heads // shared)
        q, k, v = pieces[head], pieces[heads + key], pieces[heads + shared + key]
        if any(place.turns):
            q, k = attention.rotate(q, place.turns), attention.rotate(k, place.turns)
        output, weight = attention.attend(q, k, v, place.seen[head], added[head])
        outputs.append(output)
        weights.append(weight)
    notes.weights.append(torch.stack(weights))
    mixed = linear(torch.cat(outputs, 1), w.at("attention.output"), layer.bias)
    return w.at("attention").note(mixed)


def block_shapes(layer: Layer, segments: tuple[str, ...]) -> Shapes:
    """Names and shapes of a block's weights."""
    rows = (layer.heads + 2 * layer.kv_heads) * layer.head_width
    mixed = layer.heads * layer.head_width
    inner = routing.shapes(layer.feed_forward, layer.width, layer.bias, segments)
    return (
        norm.shapes("attention_norm", layer.width, layer.norm, layer.bias)
        | linear_shapes("attention.qkv", layer.width, rows, layer.bias)
        | linear_shapes("attention.output", mixed, layer.width, layer.bias)
        | norm.shapes("feed_forward_norm", layer.width, layer.norm, layer.bias)
        | {f"feed_forward.{name}": shape for name, shape in inner.items()}
    )
