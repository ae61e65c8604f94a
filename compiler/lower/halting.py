"""Halting -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.ir.halting import Act
from mmspec.schema import halting as schema


def lower(halting: schema.Halting | None, depth: int) -> ir.Halting | None:
    """Lower a stream's halting; an exit after the last block is always there."""
    match halting:
        case schema.Ponder():
            return ir.Ponder(halting.at_most, halting.weight, halting.threshold, halting.prior)
        case schema.Act():
            return Act(halting.at_most, halting.weight, halting.threshold)
        case schema.Exit():
            return ir.Exit(halting.head, halting.threshold, halting.leaves(depth))
        case None:
            return None
