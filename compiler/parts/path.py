"""Paths: what tokens, or pixels, go through, step by step."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.norm import BatchNorm, norm_layer
from mmspec.compiler.parts.routing import activate


def step_layer(step: ir.Step) -> nn.Module:
    """The module of a step that has weights (inlined by the emitter: one return is left)."""
    if isinstance(step, ir.LinearStep):
        return nn.Linear(step.inputs, step.features, bias=step.bias)
    if isinstance(step, ir.NormStep):
        return norm_layer(step.inputs, step.norm)
    if isinstance(step, ir.BatchNormStep):
        return BatchNorm(step)
    assert isinstance(step, ir.ConvolutionStep)
    return (nn.Conv1d if step.axes == 1 else nn.Conv2d)(
        step.inputs,
        step.features,
        step.kernel,
        stride=step.stride,
        padding=step.pad,
        dilation=step.dilation,
        groups=step.groups,
        bias=step.bias,
    )


class Path(nn.Module):
    """Features through each step: [..., D], or [B, D, ...] where one reads what stands beside."""

    def __init__(self, path: ir.Path) -> None:
        super().__init__()
        self.steps = path
        for step in path:
            if step.module:
                setattr(self, step.module, step_layer(step))

    def forward(
        self, x: Tensor, real_bf: Tensor | None = None, present_b: Tensor | None = None
    ) -> Tensor:
        for step in self.steps:
            if step.turned and step.on_grid:
                x = x.movedim(-1, 1)
            elif step.turned:
                x = x.movedim(1, -1)
            if isinstance(step, ir.ConvolutionStep) and step.hidden > 0 and real_bf is not None:
                past_bf = ~real_bf[:, :: step.hidden] if step.hidden > 1 else ~real_bf
                x = x.masked_fill(past_bf[:, None], 0.0)
            if isinstance(step, ir.ActivationStep):
                x = activate(x, step.activation)
            elif isinstance(step, ir.GateStep):
                x = F.glu(x)
            elif isinstance(step, ir.PoolingStep) and step.largest:
                x = F.max_pool2d(x, step.kernel, step.stride, padding=step.pad)
            elif isinstance(step, ir.PoolingStep):
                x = F.avg_pool2d(
                    x, step.kernel, step.stride, padding=step.pad, count_include_pad=step.whole
                )
            elif isinstance(step, ir.BatchNormStep):
                x = getattr(self, step.module)(x, present_b)
            else:
                x = getattr(self, step.module)(x)
        return x
