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


def mean_steps(ponder: ir.Ponder) -> Fraction:
    """Mean number of steps, as the prior has it."""
    return sum((n * p for n, p in enumerate(prior(ponder), start=1)), Fraction(0))


def expected_steps(plan: ir.Plan) -> dict[str, Fraction]:
    """Mean steps of each pondering stream."""
    return {
        stack.stream: mean_steps(stack.halting)
        for stack in plan.stacks()
        if isinstance(stack.halting, ir.Ponder)
    }


def steps(halting: ir.Halting | None) -> tuple[int, Fraction]:
    """How often a stack's blocks are run in training, and the share expected in evaluation."""
    if isinstance(halting, ir.Ponder):
        return halting.at_most, mean_steps(halting) / halting.at_most
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
    most, width = node.halting.at_most, node.out.width
    once = linear(BATCH, width, 1, bias=True)
    cost = replace(once.repeated(1, most - 1), parameters=width + 1, active=width + 1)
    cost += _kept(sizes, node, node.halting)
    share = Fraction(1)
    if most > 1:
        share = (mean_steps(node.halting) - prior(node.halting)[-1]) / (most - 1)
    yield cost.part(f"{node.module}.halt", "halting", "ponder", node.stream, share)


def _kept(sizes: Sizes, node: ir.Stack, ponder: ir.Ponder) -> Cost:
    """What each step adds to the output, its state, and numbers for each sample.

    The state before a norm is what the next step keeps; a single step is certain, so no state.
    """
    states = sizes.rows(node.source) * node.out.width
    if ponder.at_most == 1:
        return keeps(states + BATCH)
    penalty = 3 * ponder.at_most if ponder.weight else 0
    numbers = keeps(BATCH * (4 * ponder.at_most - 2 + penalty))
    return numbers + keeps(states * (ponder.at_most + (ponder.at_most if node.final_norm else 1)))
