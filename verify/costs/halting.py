"""Costs of halting, in training: every step of a ponder and every exit is computed.

In evaluation a sample pays for the steps or blocks it runs, and an exit's head once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from mmspec.compiler import ir
from mmspec.compiler.ir.halting import Act
from mmspec.verify.costs.part import Cost, Part, Sizes, keeps, linear
from mmspec.verify.costs.polynomial import BATCH


def chances(halting: ir.Halting | None) -> tuple[Fraction, ...]:
    """Probability of each number of steps, where a prior has it; else nothing."""
    if not isinstance(halting, ir.Ponder):
        return ()
    rate = Fraction(repr(halting.prior))
    weights = [(1 - rate) ** step for step in range(halting.at_most)]
    return tuple(weight / sum(weights) for weight in weights)


def mean_steps(halting: ir.Halting | None) -> Fraction | None:
    """Mean number of steps, where a prior has it."""
    found = chances(halting)
    return sum((n * p for n, p in enumerate(found, start=1)), Fraction(0)) if found else None


def expected_steps(plan: ir.Plan) -> dict[str, Fraction]:
    """Mean steps of each stream of whose steps a prior says how likely they are."""
    means = {stack.stream: mean_steps(stack.halting) for stack in plan.stacks()}
    return {stream: mean for stream, mean in means.items() if mean is not None}


def steps(node: ir.Stack) -> tuple[int, Fraction]:
    """How often a stack's blocks are run in training, and the share expected in evaluation."""
    halting = node.halting
    most, mean = halting.most_steps if halting else node.repeat, mean_steps(halting)
    return most, Fraction(1) if mean is None else mean / most


def ends(node: ir.Stack) -> int:
    """How often a stack's final norm is computed in training: wherever a sample may leave."""
    return len(node.halting.leaves(node.depth)) if node.halting else 1


def costs(sizes: Sizes, node: ir.Stack) -> Iterator[Part]:
    """Cost of deciding when to halt; where a head decides, it is the head's."""
    halting = node.halting
    if halting is None or halting.decider is not None:
        return
    most, width, mean = halting.most_steps, node.out.width, mean_steps(halting)
    once = linear(BATCH, width, 1, bias=True)
    cost = replace(once.repeated(1, most - 1), parameters=width + 1, active=width + 1)
    cost += _kept(sizes, node, halting)
    share = Fraction(1)
    if most > 1 and mean is not None:
        share = (mean - chances(halting)[-1]) / (most - 1)
    yield cost.part(f"{node.module}.halt", "halting", halting.name, node.stream, share)


def _kept(sizes: Sizes, node: ir.Stack, halting: ir.Halting) -> Cost:
    """What each step adds to the output, its state, and numbers for each sample.

    The state before a norm is what the next step keeps; a single step is certain, so no state.
    """
    states, most = sizes.rows(node.source) * node.out.width, halting.most_steps
    if most == 1:
        return keeps(states + BATCH)
    return keeps(states * (most + (most if node.final_norm else 1)) + BATCH * _numbers(halting))


def _numbers(halting: ir.Halting) -> int:
    """Numbers that are kept of each sample to differentiate its probabilities and their loss."""
    match halting:
        case ir.Ponder(at_most=most, weight=weight):
            return 4 * most - 2 + (3 * most if weight else 0)
        case Act(at_most=most, weight=weight):
            return 2 * most - 1 + (most if weight else 0)
        case ir.Exit():
            return 0
