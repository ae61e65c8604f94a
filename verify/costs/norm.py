"""Costs of norms."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.verify.costs.part import Cost
from mmspec.verify.costs.polynomial import Polynomial


def norm(rows: Polynomial, width: int, kind: ir.Norm) -> Cost:
    """A norm applied to rows; it keeps them, and what it made of them."""
    parameters = width * (1 + kind.biased)
    return Cost(parameters, parameters, kept=rows * (width + _made(width, kind)))


def _made(width: int, kind: ir.Norm) -> int:
    """Numbers that a norm keeps of a token besides its features."""
    match kind:
        case ir.LayerNorm():
            return 2  # mean and scale
        case ir.RmsNorm():
            return 1 + width  # scale, and its product with the features
        case ir.GroupNorm(groups=groups):
            return 2 * groups  # mean and scale of each
