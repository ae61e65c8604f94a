"""Random weights of a spec, by name: no bias is 0, no norm is 1, so that each can be missed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmspec.schema.spec import Spec
from mmspec.verify.reference.shapes import expected_state


def weights(spec: Spec, seed: int) -> dict[str, Tensor]:
    """Float64 weights of every name and shape the language gives `spec`."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in expected_state(spec).items():
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        found[name] = _scaled(name, values)
    return found


def _scaled(name: str, values: Tensor) -> Tensor:
    """Variances positive, norm weights near 1, maps that keep the size of what they map.

    All else is about 1/3.
    """
    if name.endswith(".running_var"):
        return torch.exp(values)
    if name.endswith("norm.weight") or (".norm_" in name and name.endswith(".weight")):
        return 1 + values / 4
    if values.dim() >= 2 and "embedding" not in name:
        inputs = values.shape[-1] if values.dim() == 2 else values.shape[-2]
        return values / math.sqrt(inputs)
    return values / 3
