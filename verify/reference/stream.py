"""Stream: blocks of attention and feed-forward over the tokens of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmspec.schema.attention import Attention
from mmspec.schema.bias import Bias, Role, has_bias
from mmspec.schema.norm import Norm
from mmspec.schema.rotary import Rotary
from mmspec.schema.routing import FeedForward
from mmspec.schema.scale import Gate, LayerScale
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
from mmspec.verify.reference.layers import Part, attending, setting, steps
from mmspec.verify.reference.norm import normalise
from mmspec.verify.reference.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Layer:
    """What a sub-layer is made of."""

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
        return self.norm.placement


@dataclass(frozen=True, slots=True)
class Sublayer:
    """One of a block's sub-layers; norm: the name of one that several share, or ""."""

    name: str
    reads: bool
    of: Layer
    scale: float | LayerScale | Gate = 1.0
    norm: str = ""
    shared: Layer | None = None
    cross: str = ""
    """The other stream whose tokens it reads, if any."""
    norm_keys: bool = False

    @property
    def normed(self) -> Layer:
        """Where its norms are said."""
        return self.shared or self.of


Block = tuple[tuple[Sublayer, ...], ...]
"""Sub-layers in order; those in parallel are together."""


def usual(layer: Layer) -> Block:
    """Attention, then feed-forward."""
    return (Sublayer("attention", True, layer),), (Sublayer("feed_forward", False, layer),)


def block_of(stream: Stream, place: int) -> Block:
    """A block of a stream, counted from 0: of what `layers` says it is."""
    return tuple(tuple(map(_made, step)) for step in steps(setting(stream, place)))


def _made(part: Part) -> Sublayer:
    shared = None if part.normed is None else layer_of(part.normed)
    own = part.name, part.reads, layer_of(part.of), part.scale, part.norm, shared
    return Sublayer(*own, part.cross, part.norm_keys)


def layer_of(stream: Stream) -> Layer:
    """The settings of a sub-layer."""
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
    """Where one sample's tokens stand: segments, what rotary turns by.

    seen: who sees whom [H, n, n] in each sub-layer, by its name. others: the tokens [m, D'] of the
    streams that are read by a `cross`, by name.
    """

    counts: attention.Counts
    seen: Mapping[str, Tensor]
    turns: list[int]
    others: Mapping[str, Tensor] = field(default_factory=dict)
    numbers: Tensor | None = None
    """What all layers have in common for distances [m, H]."""


@dataclass(slots=True)
class Notes:
    """What the blocks of one sample did, in the order they ran."""

    routed: list[routing.Routed] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)


def place_of(
    sequence: Sequence,
    masks: Mapping[str, tuple[Attention, int]],
    rotary: bool = True,
    others: Mapping[str, Tensor] | None = None,
    numbers: Tensor | None = None,
) -> Place:
    """The place of a sequence; tokens that rotary does not turn keep angle 0.

    masks: of each sub-layer, by its name, with the heads that there are.
    """
    counts = tuple((run.segment, run.count) for run in sequence)
    sides = tuple(run.side for run in sequence)
    turned = [run.turns if rotary and run.turns else (0,) * run.count for run in sequence]
    turns = [turn for row in turned for turn in row]
    seen = {
        name: attention.matrices(mask, heads, sides, sides) for name, (mask, heads) in masks.items()
    }
    return Place(counts, seen, turns, others or {}, numbers)


def block(x: Tensor, made: Block, w: Weights, place: Place, notes: Notes) -> Tensor:
    """One block over the tokens x [n, D] of one sample."""
    for together in made:
        given, last = x, together[-1]
        for one in together:
            x = x + _scaled(_branch(given, one, w, place, notes), one, w)
        if last.of.placement == "post":
            x = _normed(x, last.of, w.at(f"{last.name}_norm"))
    return w.note(x)


def _scaled(y: Tensor, one: Sublayer, w: Weights) -> Tensor:
    """Times a number, one number for each feature, or the tanh of one for all."""
    scale = w.at(f"{one.name}_scale")
    match one.scale:
        case LayerScale():
            return scale.note(y * scale["weight"])
        case Gate():
            return scale.note(y * torch.tanh(scale["weight"]))
        case factor:
            return factor * y


def _normed(x: Tensor, layer: Layer, w: Weights) -> Tensor:
    return normalise(x, w, layer.norm, has_bias(layer.bias, "norm"))


def _branch(x: Tensor, one: Sublayer, w: Weights, place: Place, notes: Notes) -> Tensor:
    """What a sub-layer gives, normed before and after as its placement says."""
    before, after = (w.at(one.norm or f"{one.name}_norm"), w.at(f"{one.name}_norm_after"))
    if one.of.placement in ("pre", "sandwich"):
        x = _normed(x, one.normed, before)
    mix = _attention if one.reads else _cross if one.cross else _feed_forward
    y = mix(x, one, w.at(one.name), place, notes)
    y = _normed(y, one.of, after) if one.of.placement in ("sandwich", "branch") else y
    return torch.zeros_like(x) if one.cross and not len(place.others[one.cross]) else y


def _feed_forward(x: Tensor, one: Sublayer, w: Weights, place: Place, notes: Notes) -> Tensor:
    y, routed = routing.feed_forward(x, one.of.feed_forward, w, one.of.bias, place.counts)
    if routed is not None:
        notes.routed.append(routed)
    return w.note(y)


def _attention(x: Tensor, one: Sublayer, w: Weights, place: Place, notes: Notes) -> Tensor:
    """Self-attention: rows of `qkv` are q, k, v, each one head after the other."""
    layer = one.of
    width, heads, shared = layer.head_width, layer.heads, layer.kv_heads
    joint = _joint_bias(layer, w.at("qkv"), ("query", "key", "value"))
    projected = linear(x, w.at("qkv"), bias=False) + joint
    pieces = [projected[:, i * width : (i + 1) * width] for i in range(heads + 2 * shared)]
    outputs, weights = [], []
    added: list[Tensor | None] = [None] * heads
    scale = None
    sinks: list[Tensor | None] = [None] * heads
    if layer.scores is not None and layer.scores.sink:
        sinks = [*w["sink.weight"]]
    if layer.scores is not None:
        numbers = place.numbers if layer.scores.tied else None
        if relative.learned(layer.scores) and not layer.scores.tied:
            numbers = w["relative.weight"]
        added = [*relative.added(layer.scores, heads, place.counts, numbers)]
        scale = layer.scores.scale
    of_queries, of_keys = pieces[:heads], pieces[heads : heads + shared]
    if layer.scores is not None and layer.scores.qk_norm is not None:
        inside = w.unnoted()
        said = layer.scores.qk_norm, has_bias(layer.bias, "norm")
        of_queries = relative.normed(of_queries, inside.at("query_norm"), *said)
        of_keys = relative.normed(of_keys, inside.at("key_norm"), *said)
    for head in range(heads):
        key = head // (heads // shared)
        q, k, v = of_queries[head], of_keys[key], pieces[heads + shared + key]
        if layer.rotary is not None and any(place.turns):
            q, k = (attention.rotate(x, place.turns, layer.rotary) for x in (q, k))
        seen = place.seen[one.name][head]
        output, weight = attention.attend(q, k, v, seen, added[head], scale, sinks[head])
        outputs.append(output)
        weights.append(weight)
    notes.weights.append(torch.stack(weights))
    biased = has_bias(layer.bias, "output")
    return w.note(linear(torch.cat(outputs, 1), w.at("output"), biased))


def _cross(x: Tensor, one: Sublayer, w: Weights, place: Place, notes: Notes) -> Tensor:
    """All tokens of another stream are keys; rows of `key_value` are k, v, one head after another.

    What is noted is what the module gives; of a stream without tokens nothing is added.
    """
    layer, others, inside = one.of, place.others[one.cross], w.unnoted()
    width, heads, shared = layer.head_width, layer.heads, layer.kv_heads
    if one.norm_keys:
        others = _normed(others, layer, inside.at("context_norm"))
    queries = linear(x, inside.at("query"), has_bias(layer.bias, "query"))
    pairs = linear(others, inside.at("key_value"), False) + _joint_bias(
        layer, inside.at("key_value"), ("key", "value")
    )
    of_queries = [*queries.split(width, 1)]
    of_keys, values = [*pairs.split(width, 1)][:shared], [*pairs.split(width, 1)][shared:]
    scale, sinks = None, [None] * heads
    if layer.scores is not None:
        scale = layer.scores.scale
        sinks = [*w["sink.weight"]] if layer.scores.sink else sinks
        if layer.scores.qk_norm is not None:
            said = layer.scores.qk_norm, has_bias(layer.bias, "norm")
            of_queries = relative.normed(of_queries, inside.at("query_norm"), *said)
            of_keys = relative.normed(of_keys, inside.at("key_norm"), *said)
    seen = torch.ones(len(x), len(others), dtype=torch.bool)
    outputs = []
    for head in range(heads):
        key = head // (heads // shared)
        read, _ = attention.attend(
            of_queries[head], of_keys[key], values[key], seen, None, scale, sinks[head]
        )
        outputs.append(read)
    biased = has_bias(layer.bias, "output")
    return w.note(linear(torch.cat(outputs, 1), w.at("output"), biased))


def _rows(layer: Layer) -> dict[Role, int]:
    """Rows of maps by role, in the order of `qkv`."""
    shared = layer.kv_heads * layer.head_width
    return {"query": layer.heads * layer.head_width, "key": shared, "value": shared}


def _joint_bias(layer: Layer, w: Weights, roles: tuple[Role, ...]) -> Tensor:
    """What is added to the rows of a map: its bias holds those of roles that have one."""
    pieces, taken = [], 0
    for role in roles:
        rows = _rows(layer)[role]
        piece = torch.zeros(rows, dtype=torch.float64)
        if has_bias(layer.bias, role):
            piece = w["bias"][taken : taken + rows]
            taken += rows
        pieces.append(piece)
    return torch.cat(pieces)


def block_shapes(
    made: Block, segments: tuple[str, ...], widths: Mapping[str, int] | None = None
) -> Shapes:
    """Names and shapes of a block's weights; widths: of other streams, by name."""
    found: Shapes = {}
    for one in (one for together in made for one in together):
        inner = _attention_shapes(one.of) if one.reads else None
        if one.cross:
            inner = _cross_shapes(one, (widths or {})[one.cross])
        if inner is None:
            inner = routing.shapes(one.of.feed_forward, one.of.width, one.of.bias, segments)
        found |= _norm_shapes(one) | {f"{one.name}.{key}": shape for key, shape in inner.items()}
        if not isinstance(one.scale, float):
            of_all = 1 if isinstance(one.scale, Gate) else one.of.width
            found[f"{one.name}_scale.weight"] = (of_all,)
    return found


def common_shapes(stream: Stream) -> Shapes:
    """Of what all layers of a stream have in common."""
    for kind in (setting(stream, place) for place in range(stream.depth)):
        for part in attending(kind):
            if part.of.scores is not None and part.of.scores.tied:
                numbers = relative.learned(part.of.scores)
                return {"relative.weight": (numbers, part.of.heads)}
    return {}


def _attention_shapes(layer: Layer) -> Shapes:
    return _joint_shapes("qkv", layer, layer.width, ("query", "key", "value")) | _read_shapes(layer)


def _cross_shapes(one: Sublayer, width: int) -> Shapes:
    """The same of a `cross`; width: of the tokens that it reads."""
    layer, found = one.of, Shapes()
    if one.norm_keys:
        biased = has_bias(layer.bias, "norm")
        found |= norm.shapes("context_norm", width, layer.norm, biased)
    found |= _joint_shapes("query", layer, layer.width, ("query",))
    found |= _joint_shapes("key_value", layer, width, ("key", "value"))
    return found | _read_shapes(layer)


def _joint_shapes(name: str, layer: Layer, width: int, roles: tuple[Role, ...]) -> Shapes:
    """Of a map from a width to all heads of some roles."""
    rows: dict[Role, int] = {role: _rows(layer)[role] for role in roles}
    biased = sum(count for role, count in rows.items() if has_bias(layer.bias, role))
    found: Shapes = {f"{name}.weight": (sum(rows.values()), width)}
    return found | ({f"{name}.bias": (biased,)} if biased else {})


def _read_shapes(layer: Layer) -> Shapes:
    """Of what happens to scores, and to what is read."""
    rows, found = _rows(layer), Shapes()
    output = has_bias(layer.bias, "output")
    if layer.scores is not None and layer.scores.qk_norm is not None:
        found |= relative.shapes(layer.scores.qk_norm, layer.head_width, layer.bias, rows)
    numbers = relative.learned(layer.scores)
    if layer.scores is not None and numbers and not layer.scores.tied:
        found["relative.weight"] = (numbers, layer.heads)
    if layer.scores is not None and layer.scores.sink:
        found["sink.weight"] = (layer.heads,)
    return found | linear_shapes("output", rows["query"], layer.width, output)


def _norm_shapes(one: Sublayer) -> Shapes:
    """Of the norms of a sub-layer; one that several share is there once."""
    found: Shapes = {}
    layer = one.normed
    ends = {"sandwich": ("norm", "norm_after"), "branch": ("norm_after",), "none": ()}
    for end in ends.get(layer.placement, ("norm",)):
        biased = has_bias(layer.bias, "norm")
        found |= norm.shapes(one.norm or f"{one.name}_{end}", layer.width, layer.norm, biased)
    return found
