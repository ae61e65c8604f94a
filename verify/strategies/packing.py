"""Documents to give to what is packed."""

from __future__ import annotations

import torch
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.verify.reference.modality import token_count


def documents(modality: modalities.Modality, values: Tensor, generator: torch.Generator) -> Tensor:
    """Up to four documents in each sample, one after another: int64 [B, tokens]."""
    count, places = values.shape[:2]
    shape = count, token_count(modality, places)
    return torch.randint(4, shape, generator=generator).sort(dim=1).values
