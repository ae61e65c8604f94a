"""Inputs and targets for a compiled model, by the kinds that its Plan names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mmspec
from mmspec.compiler import ir

SPECS = Path(__file__).parents[2] / "specs"
SMALL = sorted(path.stem for path in SPECS.glob("*.yaml") if path.stem != "gpt2")
"""Every shipped spec but the large one."""


def tensors(plan: ir.Plan, batch: int, seed: int = 0) -> dict[str, Any]:
    """Arguments of forward: every modality, ragged lengths, and a target for every head."""
    generator = torch.Generator().manual_seed(seed)
    lengths: dict[str, Tensor] = {}
    given: dict[str, Any] = {}
    for item in plan.inputs:
        steps = min(item.longest or 0, 13)
        shape = [{"B": batch, "T": steps, "F": steps}.get(str(size), size) for size in item.shape]
        sizes = [int(size) for size in shape]
        if item.dtype == "int64" or item.kind == "table":
            made = torch.randint(0, 2, sizes, generator=generator)
            given[item.name] = made if item.dtype == "int64" else made.float()
        else:
            given[item.name] = torch.randn(sizes, generator=generator)
        if item.longest:
            lengths[item.name] = torch.tensor([steps - i % 3 for i in range(batch)])
    targets = {head.name: _target(head, given, batch) for head in plan.heads}
    return {**given, "lengths": lengths, "targets": targets}


def _target(head: ir.Head, given: dict[str, Tensor], batch: int) -> Tensor:
    if head.kind == "language-model":
        return given[str(head.segment)]
    if head.kind == "regressor":
        return torch.linspace(-1, 1, batch * head.size).reshape(batch, head.size)
    return torch.arange(batch) % head.size


def compiled(name: str, seed: int = 0) -> torch.nn.Module:
    """A fresh model of a shipped spec."""
    torch.manual_seed(seed)
    return mmspec.compile(SPECS / f"{name}.yaml")()


def plan_of(name: str) -> ir.Plan:
    """The Plan of a shipped spec."""
    return mmspec.plan(SPECS / f"{name}.yaml")
