"""Costs of paths, step by step."""

from __future__ import annotations

from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.ir.path import grids
from mmspec.verify.costs.norm import norm
from mmspec.verify.costs.part import Cost, keeps, linear, weights
from mmspec.verify.costs.polynomial import Polynomial

_KEPT: Final = {
    **{"relu": (0, 1), "gelu": (1, 0), "gelu-tanh": (1, 0), "silu": (1, 0), "tanh": (0, 1)},
}
"""Whether the backward of an activation keeps what it read, and what it gave."""


def path(samples: Polynomial, steps: ir.Path, rows: int, columns: int) -> Cost:
    """Costs of steps through a grid, or a line of one column; what goes in is the model's input.

    What a step reads that the step before it gave is kept once, whichever keeps it.
    """
    cost, is_kept, size = Cost(), True, samples * 0
    for step, down, across in grids(steps, rows, columns):
        tokens = samples * (down * across)
        own, reads, gives = _step(tokens, step)
        cost += own
        # Features that stood before rows and columns are copied to stand behind them.
        copied = step.turned and not step.on_grid and down * across > 1 and step.inputs > 1
        if reads and (copied or not is_kept):
            cost += keeps(size)
        size = tokens * step.outputs
        is_kept = gives
        cost += keeps(size if gives else samples * 0)
    return cost


def reads(step: ir.Step) -> bool:
    """Whether the backward of a step keeps what it reads."""
    return not isinstance(step, ir.ActivationStep) or bool(_KEPT.get(step.activation, (1, 0))[0])


def gives(step: ir.Step) -> bool:
    """Whether it keeps what it gives."""
    return isinstance(step, ir.ActivationStep) and bool(_KEPT.get(step.activation, (1, 0))[1])


def _step(tokens: Polynomial, step: ir.Step) -> tuple[Cost, bool, bool]:
    """What a step costs beside what it reads and gives; whether it keeps that."""
    match step:
        case ir.LinearStep():
            made = linear(tokens, step.inputs, step.features, step.bias)
            return Cost(made.parameters, made.active, made.dense, made.useful), True, False
        case ir.ConvolutionStep():
            read = step.inputs // step.groups * step.kernel**step.axes
            made = linear(tokens, read, step.features, step.bias)
            return Cost(made.parameters, made.active, made.dense, made.useful), True, False
        case ir.NormStep():
            return norm(tokens, step.inputs, step.norm) + keeps(tokens * -step.inputs), True, False
        case ir.BatchNormStep():
            return weights(2 * step.inputs), True, False
        case ir.ActivationStep() if step.activation in _KEPT:
            reads, gives = _KEPT[step.activation]
            return Cost(), bool(reads), bool(gives)
        case ir.ActivationStep():  # quick-gelu: the sigmoid too
            return keeps(tokens * step.inputs), True, False
        case _:
            return Cost(), True, False
