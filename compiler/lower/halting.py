"""Halting -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema import halting as schema


def lower(halting: schema.Halting | None, depth: int) -> ir.Halting | None:
    """Lower a stream's halting; an exit after the last block is always there."""
    if isinstance(halting, schema.Ponder):
        return ir.Ponder(halting.at_most, halting.prior, halting.weight, halting.threshold)
    if isinstance(halting, schema.Exit):
        after = (*range(halting.every, depth, halting.every), depth)
        return ir.Exit(halting.head, halting.threshold, after)
    return None
