"""The tokens of one sample in one stream: a run of tokens a segment, valid ones only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmspec.verify.reference.places import Layout, Side


@dataclass(frozen=True, slots=True)
class Run:
    """The tokens [n, D] of one segment, how they stand, and the document of each (none: of one).

    turns: the positions by which rotary turns queries and keys; none where their modality has none.
    """

    segment: str
    tokens: Tensor
    layout: Layout
    documents: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many tokens."""
        return self.tokens.shape[0]

    @property
    def side(self) -> Side:
        """The run as masks speak of it."""
        return Side(self.segment, self.count, self.layout, self.documents)


Sequence = tuple[Run, ...]


def joined(sequence: Sequence) -> Tensor:
    """All tokens [n, D], in order."""
    return torch.cat([run.tokens for run in sequence])


def with_tokens(sequence: Sequence, x: Tensor) -> Sequence:
    """The same runs with the tokens of x [n, D'] in their place."""
    pieces = torch.split(x, [run.count for run in sequence])
    return tuple(replace(r, tokens=piece) for r, piece in zip(sequence, pieces, strict=True))


def mean_or_zero(x: Tensor) -> Tensor:
    """Mean over tokens of x [n, D]; 0 where there are none."""
    return x.mean(0) if x.shape[0] else x.new_zeros(x.shape[1])
