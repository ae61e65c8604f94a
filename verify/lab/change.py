"""Changing inputs token by token: other contents, other paddings, shorter sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.schema.columns import Categories
from mmspec.schema.spec import Spec
from mmspec.verify.lab import lab
from mmspec.verify.reference.modality import token_count
from mmspec.verify.strategies import Inputs

AMOUNTS = ("plus 1", "plus 10000", "another sample's")


def altered(
    spec: Spec, batch: Inputs, keep: Mapping[str, Tensor], amount: str, hidden: bool = False
) -> Inputs:
    """The batch with every token changed that `keep` (modality -> bool [B, tokens]) does not name.

    Frames of a kept token that lie past its sample's length change too; with `hidden` such frames
    become NaN, as nothing may look at them.
    """
    changed = {
        name: None if values is None else _altered(spec, batch, name, keep[name], amount, hidden)
        for name, values in batch.tensors.items()
    }
    added = {
        name: _other_of(x, keep[name.split(".")[0]], spec, name) for name, x in batch.added.items()
    }
    return replace(batch, tensors=changed, added=added)


def _other_of(given: Tensor, keep: Tensor, spec: Spec, name: str) -> Tensor:
    """What else is given of tokens, changed for those that are not kept."""
    modality, _, what = name.partition(".")
    one = spec.modalities[modality].add[what]
    other = (given + 1) % one.categories if isinstance(one, Categories) else given + 1
    return torch.where(keep.reshape(*keep.shape, *[1] * (given.ndim - 2)), given, other)


def _altered(
    spec: Spec, batch: Inputs, name: str, keep: Tensor, amount: str, hidden: bool
) -> Tensor:
    modality, values = spec.modalities[name], batch.tensors[name]
    assert values is not None
    other = _other(modality, values, amount)
    kept = _spread(modality, keep, values.ndim)
    if modality.ids or not modality.varies:
        return torch.where(kept, values, other)
    real = torch.arange(values.shape[1]) < batch.lengths[name][:, None]
    real = real.reshape(*real.shape, *[1] * (values.ndim - 2))
    new = torch.where(kept[:, : values.shape[1]] & real, values, other)
    return torch.where(real, new, torch.nan) if hidden else new


def _spread(modality: modalities.Modality, keep: Tensor, rank: int) -> Tensor:
    """What is said of tokens [B, tokens], said of raw values, with that many axes."""
    if modality.grid is None:
        frames = keep.repeat_interleave(modality.step, 1)
        return frames.reshape(*frames.shape, *[1] * (rank - 2))
    grid = keep.reshape(len(keep), -1, *modality.grid).repeat_interleave(modality.step, 1)
    *_, height, width = modality.shape(0)
    for axis, (pixels, patches) in enumerate(zip((height, width), modality.grid, strict=True)):
        of_pixels = (torch.arange(pixels) // modality.side).clamp(max=patches - 1)
        grid = grid.index_select(2 + axis, of_pixels)
    return grid[:, :, None] if modality.varies else grid


def _other(modality: modalities.Modality, values: Tensor, amount: str) -> Tensor:
    """Other contents in every place."""
    if amount == "another sample's":
        return values.roll(1, 0)
    step = 1 if amount == "plus 1" else 10_000
    if modality.ids:
        return (values + step) % modality.ids
    other = values + step
    for i, size in enumerate(modality.codes):
        if size:
            other[:, i] %= size
    return other


def nothing_kept(spec: Spec, batch: Inputs) -> dict[str, Tensor]:
    """For every modality: no token [B, tokens]."""
    return {
        name: torch.zeros(batch.batch, lab.padded(spec, batch, name), dtype=torch.bool)
        for name in spec.modalities
    }


def valid_kept(spec: Spec, batch: Inputs) -> dict[str, Tensor]:
    """For every modality: its valid tokens [B, tokens]."""
    return {
        name: torch.arange(lab.padded(spec, batch, name))
        < torch.tensor(lab.counted(spec, batch, name))[:, None]
        for name in spec.modalities
    }


def resized(spec: Spec, batch: Inputs, sizes: Mapping[str, int]) -> Inputs:
    """The batch with other raw sizes of the sequences named: cut, or padded with zeros.

    Lengths beyond the new size become it; targets of language models follow their tokens.
    """
    tensors, lengths = dict(batch.tensors), dict(batch.lengths)
    targets, documents, added = dict(batch.targets), dict(batch.documents), dict(batch.added)
    for name, size in sizes.items():
        values = tensors[name]
        if values is None:
            continue
        tensors[name] = _resized(values, size, 0)
        lengths[name] = lengths[name].clamp(max=size)
        count = token_count(spec.modalities[name], size)
        if name in documents:
            documents[name] = _resized(documents[name], count, 0)
        for each in added:
            if each.split(".")[0] == name:
                added[each] = _resized(added[each], count, 0)
        for head in predicting(spec, name):
            if head in targets:
                targets[head] = _resized(targets[head], size, 1)
    batch = replace(batch, tensors=tensors, lengths=lengths, targets=targets)
    return replace(batch, documents=documents, added=added)


def _resized(values: Tensor, size: int, fill: int) -> Tensor:
    missing = size - values.shape[1]
    if missing <= 0:
        return values[:, :size]
    more = values.new_full((values.shape[0], missing, *values.shape[2:]), fill)
    return torch.cat([values, more], 1)


def predicting(spec: Spec, modality: str) -> list[str]:
    """Language models of a modality."""
    from mmspec.schema.check import token_segment
    from mmspec.schema.wiring import resolve

    graph = resolve(spec)
    return [
        name for name, head in spec.heads.items() if token_segment(spec, graph, head) == modality
    ]
