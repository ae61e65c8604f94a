"""Costs of feed-forward layers; a token passes `choose` experts, or the mlp of its modality."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mmspec.compiler import ir
from mmspec.verify.costs.part import Cost, Sizes, keeps, linear
from mmspec.verify.costs.polynomial import Polynomial, total

_INPUTS: Final = {"gelu": 1, "gelu-tanh": 1, "silu": 1, "relu": 0, "quick-gelu": 2}
"""Tensors of the hidden width that the backward of an activation keeps beside its output."""


def costs(
    sizes: Sizes, layer: ir.FeedForward, width: int, source: ir.Value
) -> tuple[str, str, Cost]:
    """Feed-forward of one block: its concern, its kind and its cost."""
    rows = sizes.rows(source)
    if isinstance(layer, ir.Experts):
        kind = f"{layer.choose} of {layer.experts} experts"
        return "routing", kind, _experts(rows, width, layer)
    if isinstance(layer, ir.ByModality):
        return "routing", "by-modality", _by_modality(sizes, source, layer)
    kind = "glu" if isinstance(layer, ir.Glu) else "mlp"
    return "routing", kind, _mlp(rows, width, layer)


def _mlp(rows: Polynomial, width: int, layer: ir.Mlp | ir.Glu | ir.ByModality) -> Cost:
    """`down` keeps what the activation (times `up`, when gated) makes."""
    hidden = keeps(rows * (layer.width * _INPUTS[layer.activation]))
    up = linear(rows, width, layer.width, layer.has_bias("up"))
    down = linear(rows, layer.width, width, layer.has_bias("down"))
    if isinstance(layer, ir.Glu):
        gate = linear(rows, width, layer.width, layer.has_bias("gate"))
        gate = replace(gate, kept=rows * (2 * layer.width))
        return gate + up + hidden + down
    return up + hidden + down


def _by_modality(sizes: Sizes, source: ir.Value, layer: ir.ByModality) -> Cost:
    """All mlps are alike; a token uses one of them."""
    every = [_mlp(sizes.rows(_only(source, name)), source.width, layer) for name in layer.segments]
    figures = (total(x.dense for x in every), total(x.useful for x in every))
    parameters = sum(x.parameters for x in every)
    return Cost(parameters, every[0].parameters, *figures, total(x.kept for x in every))


def _only(source: ir.Value, name: str) -> ir.Value:
    segments = tuple(segment for segment in source.segments if segment.name == name)
    return ir.Value(f"{source.name}.{name}", segments, source.width)


def _experts(rows: Polynomial, width: int, layer: ir.Experts) -> Cost:
    """A router, then each token copied to the experts it chose and their answers weighed.

    Kept: the router's input and probabilities; all of them sorted and the sum of the first where
    the chosen are divided by it; for each chosen row its weight, token, hidden states, answer and
    weighed answer.
    """
    chosen, each = rows * layer.choose, 2 * width * layer.width
    parameters, router = each * layer.experts, linear(rows, width, layer.experts, layer.router_bias)
    hidden = layer.width * (1 + _INPUTS[layer.activation])
    kept = rows * layer.experts + chosen * (3 * width + hidden + 1)
    if layer.renormalise:
        kept += rows * layer.experts + rows
    flops = chosen * (2 * each)
    return router + Cost(parameters, each * layer.choose, flops, flops, kept)
