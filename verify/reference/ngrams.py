"""N-grams: the rows of runs of bytes, each hashed byte by byte."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.schema.ngrams import Ngrams
from mmspec.verify.reference.arithmetic import Shapes, Weights

_SPACE = 32


def told(ngrams: Ngrams, w: Weights, rows: Tensor, text: Sequence[int]) -> Tensor:
    """Rows [n, D] of bytes, each with the rows of the runs that end with it: their mean."""
    if ngrams.lower:
        text = [byte + 32 if 65 <= byte <= 90 else byte for byte in text]
    found = []
    for end, row in enumerate(rows):
        every = [row]
        for number, run in enumerate(runs(ngrams, text, end)):
            every.append(w["table.weight"][number * ngrams.buckets + _hash(run) % ngrams.buckets])
        found.append(torch.stack(every).mean(0))
    return torch.stack(found)


def runs(ngrams: Ngrams, text: Sequence[int], end: int) -> list[Sequence[int]]:
    """The runs that end with a byte, none longer than its word as far as it has come."""
    start = end
    while start and text[end] != _SPACE and text[start - 1] != _SPACE:
        start -= 1
    found = [text[max(start, end - size + 1) : end + 1] for size in ngrams.sizes]
    return [*found, text[start : end + 1]] if ngrams.words else found


def _hash(run: Sequence[int]) -> int:
    value = 0
    for byte in run:
        value = (257 * value + byte + 1) % (2**31 - 1)
    return value


def shapes(ngrams: Ngrams, width: int) -> Shapes:
    """Names and shapes of the weights."""
    return {"table.weight": (ngrams.runs * ngrams.buckets, width)}
