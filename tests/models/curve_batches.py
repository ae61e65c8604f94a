"""Batches for golden losses, drawn from a spec by nothing that a version or a machine changes.

Neither the code under test nor torch nor numpy draws: Python promises the numbers of
`Random.random` for all versions, and what is made of them here is exact.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any, Final

import torch
from torch import Tensor

from mmspec.schema import head as heads
from mmspec.schema.modality import Frames, Image, Modality, Table, Tokens, Video
from mmspec.schema.spec import Spec

SAMPLES: Final = 3
_IGNORED: Final = -100


def batch(spec: Spec, most: int, step: int, packed: bool = False) -> dict[str, Any]:
    """Arguments of forward: ragged inputs and a target for each head; another for each step.

    most: tokens or frames of the longest sample; a quarter of them for videos. packed: tokens come
    with their documents. In turn an optional modality is left out, or one sample has none of it.
    """
    source = Random(step)
    optional = [name for name, each in spec.modalities.items() if each.optional]
    without = _without(optional, step)
    given: dict[str, Any] = {}
    lengths: dict[str, Tensor] = {}
    for name, modality in spec.modalities.items():
        here = most // 4 if isinstance(modality, Video) else most
        tensor, length_b = _drawn(source, modality, min(here, _longest(modality)))
        if name in optional and not without:
            length_b[(step + optional.index(name)) % SAMPLES] = 0
        given[name] = None if name == without else tensor
        if name != without and (modality.optional or _longest(modality)):
            lengths[name] = length_b
    targets = {
        name: _target(source, spec, head, given, lengths) for name, head in spec.heads.items()
    }
    documents = {
        name: _documents(source, given[name])
        for name, modality in spec.modalities.items()
        if packed and isinstance(modality, Tokens)
    }
    arguments = given | {"lengths": lengths, "targets": targets}
    return arguments | {"documents": documents} if documents else arguments


def _without(optional: list[str], step: int) -> str:
    """The optional modality that no sample of a step has; none in most steps."""
    turn = step % 7
    return optional[turn] if turn < len(optional) else ""


def _longest(modality: Modality) -> int:
    """In tokens or frames; 0 where all are of one length."""
    return modality.length.max if isinstance(modality, Tokens | Video | Frames) else 0


def _drawn(source: Random, modality: Modality, most: int) -> tuple[Tensor, Tensor]:
    """Values of a modality and their lengths, from half of the most on."""
    length_b = 1 + most // 2 + integers(source, (SAMPLES,), most - most // 2)
    if isinstance(modality, Image):
        shape = SAMPLES, modality.channels, *modality.size
        return numbers(source, *shape), torch.ones(SAMPLES, dtype=torch.int64)
    if isinstance(modality, Table):
        columns = [
            numbers(source, SAMPLES)
            if column == "number"
            else integers(source, (SAMPLES,), column.categories).double()
            for column in modality.columns.values()
        ]
        return torch.stack(columns, dim=1), torch.ones(SAMPLES, dtype=torch.int64)
    longest = int(length_b.max())
    if isinstance(modality, Tokens):
        return integers(source, (SAMPLES, longest), modality.vocab), length_b
    if isinstance(modality, Video):
        return numbers(source, SAMPLES, longest, modality.channels, *modality.size), length_b
    return numbers(source, SAMPLES, longest, modality.features), length_b


def _target(
    source: Random,
    spec: Spec,
    head: heads.Head,
    given: dict[str, Any],
    lengths: dict[str, Tensor],
) -> Tensor:
    """What a head is to say; now and then of one sample nothing, where that can be said."""
    if isinstance(head, heads.LanguageModel):
        tokens = [name for name, each in spec.modalities.items() if isinstance(each, Tokens)]
        name = head.modality or tokens[0]
        ids_bt: Tensor = given[name]
        return ids_bt.masked_fill(torch.arange(ids_bt.shape[1]) >= lengths[name][:, None], _IGNORED)
    if isinstance(head, heads.Regressor):
        return numbers(source, SAMPLES, head.outputs)
    if isinstance(head, heads.Contrastive):
        return torch.zeros(SAMPLES, dtype=torch.int64)
    classes_b = integers(source, (SAMPLES,), head.classes)
    classes_b[: int(source.random() < 0.25)] = _IGNORED
    return classes_b


def _documents(source: Random, ids_bt: Tensor) -> Tensor:
    """The document of each token: a new one begins at each with a chance of one in eight."""
    return (shares(source, *ids_bt.shape) < 0.125).cumsum(dim=1)


def numbers(source: Random, *shape: int) -> Tensor:
    """Numbers from −1 to 1."""
    return 2 * shares(source, *shape) - 1


def integers(source: Random, shape: tuple[int, ...], below: int) -> Tensor:
    """Integers below a number, the small ones more often, so that there is something to learn."""
    return (shares(source, *shape) * shares(source, *shape) * below).long()


def shares(source: Random, *shape: int) -> Tensor:
    """Numbers from 0 to 1."""
    draw = source.random
    drawn = [draw() for _ in range(math.prod(shape))]
    return torch.tensor(drawn, dtype=torch.float64).reshape(shape)
