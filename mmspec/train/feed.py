"""What a run needs of its data: batches that depend on the step alone, and the held-out split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mmspec.data.encode.table import Codes


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch: modality tensors (None: absent), lengths and targets, each by name."""

    modalities: dict[str, Tensor | None]
    lengths: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: tuple[str, ...] = ()
    """How an error names each sample, where that is known."""

    def named(self, sample: int) -> str:
        """A sample as an error names it."""
        return self.rows[sample] if self.rows else f"sample {sample} of its batch"

    def to(self, device: torch.device) -> Inputs:
        """The batch on a device."""
        moved = {n: None if x is None else x.to(device) for n, x in self.modalities.items()}
        lengths = {name: tensor.to(device) for name, tensor in self.lengths.items()}
        targets = {name: tensor.to(device) for name, tensor in self.targets.items()}
        return Inputs(moved, lengths, targets, self.rows)


class Feed(Protocol):
    """Data of a run; `fingerprint` changes when the data does."""

    fingerprint: str
    classes: Mapping[str, tuple[str, ...]]
    """The names of the classes by head, in the order of their ids, where labels are names."""
    categories: Mapping[str, Codes]
    """The names of the codes of each table's category columns, by modality."""
    train_size: int
    held_out_size: int

    def batch(self, step: int) -> Inputs:
        """The training batch of a step (counted from 1): a pure function of it."""
        ...

    def held_out(self, present: frozenset[str], size: int) -> Iterator[Inputs]:
        """The held-out samples in order, with these modalities alone, `size` at a time."""
        ...
