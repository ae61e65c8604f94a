"""Paths -> IR."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from mmspec.compiler import ir
from mmspec.schema import path as schema


@dataclass(frozen=True, slots=True)
class Given:
    """What a path is given, and what its steps have that do not say so themselves.

    first: whether features stand before rows and columns; bias, norm_bias: whether maps, and
    norms, have one; axes: 2 of a grid, 1 of a line.
    """

    features: int
    first: bool
    bias: bool = True
    norm_bias: bool = True
    axes: int = 2


def lower(steps: tuple[schema.OneStep, ...], given: Given) -> ir.Path:
    """The steps of a path."""
    found: list[ir.Step] = []
    seen: Counter[str] = Counter()
    features, first = given.features, given.first
    for step in steps:
        seen[step.kind] += 1
        count = seen[step.kind]
        word = step.kind.replace("-", "_")
        module = word if count == 1 else f"{word}_{count}"
        turned = step.placed and first != step.on_grid
        apart = prod(one.apart for one in found) if found else 0
        found.append(_step(step, (module, features, turned), given, apart))
        features, first = found[-1].outputs, first ^ turned
    return tuple(found)


def _step(step: schema.OneStep, place: tuple[str, int, bool], given: Given, apart: int) -> ir.Step:
    match step:
        case schema.LinearMap():
            return ir.LinearStep(*place, step.features, _either(step.bias, given.bias))
        case schema.PathNorm():
            return ir.NormStep(*place, ir.LayerNorm(step.eps, given.norm_bias))
        case schema.BatchNorm():
            return ir.BatchNormStep(*place, step.eps, step.momentum)
        case schema.Activation():
            return ir.ActivationStep("", *place[1:], step.kind)
        case schema.Gate():
            return ir.GateStep("", *place[1:])
        case schema.Convolution():
            return ir.ConvolutionStep(
                *place,
                *(step.kernel, step.stride, step.square.padding),
                *(step.features, step.groups, step.dilation),
                bias=_either(step.bias, given.bias),
                axes=given.axes,
                hidden=apart if given.axes == 1 and step.square.reach else 0,
            )
        case schema.Pooling():
            square = step.kernel, step.stride, step.square.padding
            return ir.PoolingStep("", *place[1:], *square, step.kind == "max")


def _either(own: bool | None, usual: bool) -> bool:
    return usual if own is None else own
