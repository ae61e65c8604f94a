"""Norms -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema import norm as schema
from mmspec.schema.stream import Stream


def lower(stream: Stream) -> ir.Norm:
    """The norm that a stream uses everywhere."""
    match stream.norm:
        case schema.LayerNorm(eps=eps):
            return ir.LayerNorm(eps, stream.bias)
        case schema.RmsNorm(eps=eps):
            return ir.RmsNorm(eps)
        case schema.GroupNorm(eps=eps, groups=groups):
            return ir.GroupNorm(eps, stream.bias, groups)
