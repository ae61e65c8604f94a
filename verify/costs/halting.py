"""Costs of halting, in training: every step of a ponder and every exit is computed.

In evaluation a sample pays for the steps or blocks it runs, and an exit's head once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from mmspec.compiler import ir
from mmspec.verify.costs.part import Cost, Part, Sizes, keeps, linear
from mmspec.verify.costs.polynomial import BATCH


def prior(ponder: ir.Ponder) -> tuple[Fraction, ...]:
    """Probability of each number of steps, as the prior has it."""
    rate = Fraction(repr(ponder.prior))
    weights = [(1 - rate) ** step for step in range(ponder.at_most)]
    return tuple(weight / sum(weights) for weight in weights)


def expected_steps(ponder: ir.Ponder) -> Fraction:
    """Mean number of steps, as the prior has it."""
    return sum((n * p for n, p in enumerate(prior(ponder), start=1)), Fraction(0))


def steps(halting: ir.Halting | None) -> tuple[int, Fraction]:
    """How often a stack's blocks are run in training, and the share expected in evaluation."""
    if isinstance(halting, ir.Ponder):
        return halting.at_most, expected_steps(halting) / halting.at_most
    return 1, Fraction(1)


def ends(node: ir.Stack) -> int:
    """How often a stack's final norm is computed in training."""
    if isinstance(node.halting, ir.Exit):
        return len(node.halting.after)
    return steps(node.halting)[0]


def costs(sizes: Sizes, node: ir.Stack) -> Iterator[Part]:
    """Cost of deciding when to halt; exits decide by their head."""
    if not isinstance(node.halting, ir.Ponder):
        return
    most, width, rows = node.halting.at_most, node.block.width, sizes.rows(node.source)
    once = linear(BATCH, width, 1, bias=True)
    cost = replace(once.repeated(1, most - 1), parameters=width + 1, active=width + 1)
    # Each step keeps its state, what it adds to the output, and numbers for each sample.
    states = rows * (width * (most if node.final_norm else 1))
    cost += keeps(states + rows * (width * most))
    share = Fraction(1)
    if most > 1:
        share = (expected_steps(node.halting) - prior(node.halting)[-1]) / (most - 1)
    yield cost.part(f"{node.module}.halt", "halting", "ponder", node.stream, share)
