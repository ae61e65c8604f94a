"""Norms -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema import norm as schema


def lower(norm: schema.Normed, bias: bool) -> ir.Norm:
    """A norm; bias: whether it has one, if its kind may."""
    offset = norm.offset or 0
    match norm:
        case schema.LayerNorm(eps=eps):
            return ir.LayerNorm(eps, bias, offset=offset)
        case schema.RmsNorm(eps=eps):
            return ir.RmsNorm(eps, offset=offset)
        case schema.GroupNorm(eps=eps, groups=groups):
            return ir.GroupNorm(eps, bias, groups, offset=offset)
