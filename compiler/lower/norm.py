"""Norms -> IR."""

from __future__ import annotations

from typing import overload

from mmspec.compiler import ir
from mmspec.schema import norm as schema


@overload
def lower(norm: schema.Normed, bias: bool) -> ir.Norm: ...
@overload
def lower(norm: schema.Norm, bias: bool) -> ir.Norm | None: ...
def lower(norm: schema.Norm, bias: bool) -> ir.Norm | None:
    """A norm, or None where there is none; bias: whether it has one, if its kind may."""
    if isinstance(norm, schema.NoNorm):
        return None
    offset = norm.offset or 0
    match norm:
        case schema.LayerNorm(eps=eps):
            return ir.LayerNorm(eps, bias, offset=offset)
        case schema.RmsNorm(eps=eps):
            return ir.RmsNorm(eps, offset=offset)
        case schema.GroupNorm(eps=eps, groups=groups):
            return ir.GroupNorm(eps, bias, groups, offset=offset)
