"""Feed-forward layers -> IR; a switch is top-1 experts weighted by the raw probability."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower.bias import biased
from mmspec.schema import routing as schema
from mmspec.schema.bias import Bias, has_bias


def lower(
    layer: schema.FeedForward, width: int, bias: Bias, segments: tuple[ir.Segment, ...]
) -> ir.FeedForward:
    """Lower one feed-forward of a stream of `width`."""
    hidden = layer.width or 4 * width
    if isinstance(layer, schema.Experts):
        return ir.Experts(
            hidden,
            layer.activation,
            layer.experts,
            layer.choose,
            layer.renormalise,
            layer.balance,
            has_bias(bias, "router"),
        )
    if isinstance(layer, schema.Switch):
        return ir.Experts(
            *(hidden, layer.activation, layer.experts, 1, False, layer.balance),
            router_bias=has_bias(bias, "router"),
        )
    if isinstance(layer, schema.ByModality):
        names = tuple(segment.name for segment in segments)
        given = biased(bias, "up", "down")
        return ir.ByModality(hidden, layer.activation, segments=names, **given)
    if isinstance(layer, schema.Glu):
        return ir.Glu(hidden, layer.activation, **biased(bias, "gate", "up", "down"))
    return ir.Mlp(hidden, layer.activation, **biased(bias, "up", "down"))
