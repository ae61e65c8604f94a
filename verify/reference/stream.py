"""Stream: blocks of attention and feed-forward over the tokens of one sample."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmspec.schema.attention import Attention
from mmspec.schema.bias import Bias, Role, has_bias
from mmspec.schema.norm import NoNorm, Norm
from mmspec.schema.rotary import Rotary
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
from mmspec.verify.reference.layers import setting
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
    bias: Bias
    rotary: Rotary | None
    scores: Scores | None = None

    @property
    def placement(self) -> str:
        """Where its norms are; "none": nowhere."""
        return "none" if isinstance(self.norm, NoNorm) else self.norm.placement


def layer_of(stream: Stream, place: int) -> Layer:
    """A block of a stream, counted from 0: of what `layers` says it is."""
    stream = setting(stream, place)
    return Layer(
        stream.width,
        stream.heads,
        stream.kv_heads,
        stream.head_width,
        stream.feed_forward,
        stream.norm,
        stream.bias,
        stream.turning,
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
    for name, mix in (("attention", _attention), ("feed_forward", _feed_forward)):

        def normed(y: Tensor, name: str = name, end: str = "norm") -> Tensor:
            assert not isinstance(layer.norm, NoNorm)
            given = w.at(f"{name}_{end}")
            return normalise(y, given, layer.norm, has_bias(layer.bias, "norm"))

        match layer.placement:
            case "pre":
                x = x + mix(normed(x), layer, w, place, notes)
            case "post":
                x = normed(x + mix(x, layer, w, place, notes))
            case "sandwich":
                x = x + normed(mix(normed(x), layer, w, place, notes), end="norm_after")
            case "branch":
                x = x + normed(mix(x, layer, w, place, notes), end="norm_after")
            case "none":
                x = x + mix(x, layer, w, place, notes)
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
    projected = linear(x, w.at("attention.qkv"), bias=False) + _joint_bias(layer, w)
    pieces = [projected[:, i * width : (i + 1) * width] for i in range(heads + 2 * shared)]
    outputs, weights = [], []
    added: list[Tensor | None] = [None] * heads
    scale = None
    if layer.scores is not None:
        added = [*relative.added(layer.scores, heads, place.counts)]
        scale = layer.scores.scale
    of_queries, of_keys = pieces[:heads], pieces[heads : heads + shared]
    if layer.scores is not None and layer.scores.qk_norm is not None:
        biased = has_bias(layer.bias, "norm")
        one = layer.scores.qk_norm, biased
        of_queries = relative.normed(of_queries, w.at("attention.query_norm"), *one)
        of_keys = relative.normed(of_keys, w.at("attention.key_norm"), *one)
    for head in range(heads):
        key = head // (heads // shared)
        q, k, v = of_queries[head], of_keys[key], pieces[heads + shared + key]
        if layer.rotary is not None and any(place.turns):
            q, k = (attention.rotate(x, place.turns, layer.rotary) for x in (q, k))
        output, weight = attention.attend(q, k, v, place.seen[head], added[head], scale)
        outputs.append(output)
        weights.append(weight)
    notes.weights.append(torch.stack(weights))
    biased = has_bias(layer.bias, "output")
    mixed = linear(torch.cat(outputs, 1), w.at("attention.output"), biased)
    return w.at("attention").note(mixed)


def _rows(layer: Layer) -> dict[Role, int]:
    """Rows of `qkv` by role, in their order."""
    shared = layer.kv_heads * layer.head_width
    return {"query": layer.heads * layer.head_width, "key": shared, "value": shared}


def _joint_bias(layer: Layer, w: Weights) -> Tensor:
    """What is added to the rows of `qkv`: its bias holds those of roles that have one."""
    pieces, taken = [], 0
    for role, rows in _rows(layer).items():
        piece = torch.zeros(rows, dtype=torch.float64)
        if has_bias(layer.bias, role):
            piece = w["attention.qkv.bias"][taken : taken + rows]
            taken += rows
        pieces.append(piece)
    return torch.cat(pieces)


def block_shapes(layer: Layer, segments: tuple[str, ...]) -> Shapes:
    """Names and shapes of a block's weights."""
    rows = _rows(layer)
    biased = sum(count for role, count in rows.items() if has_bias(layer.bias, role))
    output = has_bias(layer.bias, "output")
    inner = routing.shapes(layer.feed_forward, layer.width, layer.bias, segments)
    found = _norm_shapes("attention", layer)
    found["attention.qkv.weight"] = (sum(rows.values()), layer.width)
    found |= {"attention.qkv.bias": (biased,)} if biased else {}
    if layer.scores is not None and layer.scores.qk_norm is not None:
        found |= relative.shapes(layer.scores.qk_norm, layer.head_width, layer.bias, rows)
    found |= linear_shapes("attention.output", rows["query"], layer.width, output)
    found |= _norm_shapes("feed_forward", layer)
    return found | {f"feed_forward.{name}": shape for name, shape in inner.items()}


def _norm_shapes(name: str, layer: Layer) -> Shapes:
    """Of the norms of a sub-layer."""
    found: Shapes = {}
    ends = {"sandwich": ("norm", "norm_after"), "branch": ("norm_after",), "none": ()}
    for end in ends.get(layer.placement, ("norm",)):
        assert not isinstance(layer.norm, NoNorm)
        biased = has_bias(layer.bias, "norm")
        found |= norm.shapes(f"{name}_{end}", layer.width, layer.norm, biased)
    return found
