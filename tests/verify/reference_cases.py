"""Small specs that the tests of the reference share."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.schema.spec import Spec
from mmspec.verify.strategies import load

FEATURES = "{kind: series, features: 6, rate: 50 Hz, length: {max: 9}}"


def one_stream(keys: str, head: str = "kind: regressor, outputs: 2", modality: str = "") -> Spec:
    """One series of 6 features in stream `s` of width 6, with these other keys."""
    return load(
        f"mmspec: 1\nname: case\nmodalities:\n  x: {modality or FEATURES}\n"
        f"streams:\n  s: {{from: x, width: 6, {keys}}}\n"
        f"heads:\n  y: {{from: s, {head}}}\n"
    )


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Float64 Gaussian numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> None:
    """Assert equality up to the rounding of float64."""
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11, equal_nan=True)
