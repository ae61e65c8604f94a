"""Norms against loops over the features of one token."""

from __future__ import annotations

import torch
from part_case import same

from mmspec.compiler.parts.norm import RmsNorm


def test_rms_norm_starts_at_one_and_divides_by_the_root_mean_square() -> None:
    part, x = RmsNorm(3, 0.25).double(), torch.tensor([[3.0, -4.0, 0.0]], dtype=torch.float64)
    assert part.weight.tolist() == [1, 1, 1]
    scale = (25 / 3 + 0.25) ** -0.5
    same(part(x), torch.tensor([[3 * scale, -4 * scale, 0]], dtype=torch.float64))
