"""Feed-forward layers -> IR; a switch is top-1 experts weighted by the raw probability."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema import routing as schema


def lower(
    layer: schema.FeedForward, width: int, bias: bool, segments: tuple[ir.Segment, ...]
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
        )
    if isinstance(layer, schema.Switch):
        return ir.Experts(hidden, layer.activation, layer.experts, 1, False, layer.balance)
    if isinstance(layer, schema.ByModality):
        names = tuple(segment.name for segment in segments)
        return ir.ByModality(hidden, layer.activation, bias, names)
    kind = ir.Glu if isinstance(layer, schema.Glu) else ir.Mlp
    return kind(hidden, layer.activation, bias)
