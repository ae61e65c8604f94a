"""Routing: feed-forward layers, dense, gated and routed, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.schema import routing as kinds
from mmspec.schema.bias import Bias, has_bias
from mmspec.verify.reference.arithmetic import (
    Shapes,
    Weights,
    activate,
    linear,
    linear_shapes,
    softmax,
)
from mmspec.verify.reference.attention import Counts


@dataclass(frozen=True, slots=True)
class Routed:
    """What one layer did with one sample: probabilities [n, E], the experts of each token."""

    probabilities: Tensor
    chosen: list[list[int]]


def feed_forward(
    x: Tensor, layer: kinds.FeedForward, w: Weights, bias: Bias, counts: Counts
) -> tuple[Tensor, Routed | None]:
    """Tokens x [n, D] -> [n, D], with what was routed where."""
    if isinstance(layer, kinds.Experts | kinds.Switch):
        return _experts(x, layer, w, has_bias(bias, "router"))
    if isinstance(layer, kinds.ByModality):
        pieces = torch.split(x, [count for _, count in counts])
        named = zip(counts, pieces, strict=True)
        outputs = [_mlp(piece, layer, w.at(f"{name}_mlp"), bias) for (name, _), piece in named]
        return torch.cat(outputs), None
    if isinstance(layer, kinds.Glu):
        gate = activate(layer.activation, linear(x, w.at("gate"), has_bias(bias, "gate")))
        h = gate * linear(x, w.at("up"), has_bias(bias, "up"))
        return linear(h, w.at("down"), has_bias(bias, "down")), None
    return _mlp(x, layer, w, bias), None


def _mlp(x: Tensor, layer: kinds.Mlp | kinds.ByModality, w: Weights, bias: Bias) -> Tensor:
    h = activate(layer.activation, linear(x, w.at("up"), has_bias(bias, "up")))
    return linear(h, w.at("down"), has_bias(bias, "down"))


def _experts(
    x: Tensor, layer: kinds.Experts | kinds.Switch, w: Weights, biased: bool
) -> tuple[Tensor, Routed]:
    count, renormalise = 1, False
    if isinstance(layer, kinds.Experts):
        count, renormalise = layer.choose, layer.renormalise
    up, down = w["up"], w["down"]
    probabilities = softmax(linear(x, w.at("router"), biased))
    outputs, chosen = [], []
    for token, s in zip(x, probabilities, strict=True):
        order = sorted((-value, e) for e, value in enumerate(s.tolist()))
        experts = [e for _, e in order[:count]]
        total = sum(s[e] for e in experts) if renormalise else 1.0
        y = torch.zeros_like(token)
        for e in experts:
            y = y + s[e] / total * (activate(layer.activation, token @ up[e]) @ down[e])
        outputs.append(y)
        chosen.append(experts)
    return (torch.stack(outputs) if outputs else x), Routed(probabilities, chosen)


def told(
    layers: Sequence[kinds.FeedForward], rows: list[list[Routed]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The statistics of a stream's layers, each as often as it ran over the batch, and losses.

    rows: of the layers that route, which route alike.
    """
    routed = [each for each in layers if isinstance(each, kinds.Experts | kinds.Switch)]
    if not routed:
        return {}, {}
    layer = routed[0]
    found = [balance(layer, samples) for samples in rows]
    balances, loads = (torch.stack(values) for values in zip(*found, strict=True))
    asked = {"balance": layer.balance * balances.mean()} if layer.balance else {}
    return {"load": loads}, asked


def balance(layer: kinds.Experts | kinds.Switch, samples: list[Routed]) -> tuple[Tensor, Tensor]:
    """One layer over the batch: its balance loss E sum f_e P_e, and its load f [E]."""
    load = torch.zeros(layer.experts, dtype=torch.float64)
    for sample in samples:
        for experts in sample.chosen:
            for e in experts:
                load[e] += 1
    load = load / max(1.0, float(load.sum()))
    rows = [sample.probabilities for sample in samples if len(sample.chosen)]
    if not rows:
        return load.sum(), load
    return layer.experts * (load * torch.cat(rows).mean(0)).sum(), load


def shapes(layer: kinds.FeedForward, width: int, bias: Bias, segments: tuple[str, ...]) -> Shapes:
    """Names and shapes of a feed-forward's weights in a stream of that width."""
    inner = layer.width or 4 * width
    if isinstance(layer, kinds.Experts | kinds.Switch):
        router = linear_shapes("router", width, layer.experts, has_bias(bias, "router"))
        up, down = (layer.experts, width, inner), (layer.experts, inner, width)
        return router | {"up": up, "down": down}
    if isinstance(layer, kinds.ByModality):
        names = [f"{segment}_mlp." for segment in segments]
    else:
        names = [""]
    found: Shapes = {}
    for name in names:
        if isinstance(layer, kinds.Glu):
            found |= linear_shapes(f"{name}gate", width, inner, has_bias(bias, "gate"))
        found |= linear_shapes(f"{name}up", width, inner, has_bias(bias, "up"))
        found |= linear_shapes(f"{name}down", inner, width, has_bias(bias, "down"))
    return found
