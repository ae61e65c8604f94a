"""The data of a run: a source encoded for its spec, and the batches taken from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmspec.data import batches, dataset, registry
from mmspec.data.dataset import Dataset
from mmspec.data.encode.target import IGNORED
from mmspec.data.source import Report, silent
from mmspec.schema import head as heads
from mmspec.schema import wiring
from mmspec.schema.check import token_segment
from mmspec.schema.modality import Frames, Image, Modality
from mmspec.schema.spec import Spec
from mmspec.train.feed import Inputs
from mmspec.train.settings import Settings

Array = NDArray[Any]


def open_feed(spec: Spec, settings: Settings, report: Report = silent) -> EncodedFeed:
    """The data that the settings name, encoded for a spec; raises MmspecError MM500 to MM512."""
    rows = registry.load(settings.data, spec, settings.allow_outside, report)
    found = dataset.encode(rows, spec, report)
    return EncodedFeed(found, spec, settings)


class EncodedFeed:
    """A Feed of encoded rows; each batch follows from the seed and the step alone."""

    def __init__(self, data: Dataset, spec: Spec, settings: Settings) -> None:
        self._data, self._spec, self._settings = data, spec, settings
        self._training = np.flatnonzero(data.filled & ~data.held_out)
        self._held_out = np.flatnonzero(data.filled & data.held_out)
        self._supplied = {name: supplied(spec, name) for name in spec.heads}
        self.fingerprint = data.fingerprint()
        self.train_size = len(self._training)
        self.held_out_size = len(self._held_out)
        self.notes = data.notes
        self.classes, self.categories = data.classes, data.categories

    def batch(self, step: int) -> Inputs:
        """The training batch of a step (counted from 1), optional modalities hidden at random."""
        chosen = self._settings
        places = batches.rows_of(chosen.seed, step, chosen.batch, self.train_size)
        rows, names = self._training[places], list(self._spec.modalities)
        optional = np.array([self._spec.modalities[name].optional for name in names])
        present = np.stack([self._data.present(name)[rows] for name in names], 1)
        shown = batches.shown(present, optional, chosen.drop_modality, chosen.seed, step)
        source = batches.varying(chosen.seed, step) if chosen.augment else None
        found = {name: shown[:, index] for index, name in enumerate(names)}
        return self._inputs(rows, found, source)

    def held_out(self, present: frozenset[str], size: int) -> Iterator[Inputs]:
        """The held-out samples in order, with these modalities alone, `size` at a time.

        Samples that have none of them are left out.
        """
        names = [name for name in self._data.modalities if name in present]
        has = {name: self._data.present(name)[self._held_out] for name in names}
        any_b = np.any([*has.values(), np.zeros(self.held_out_size, bool)], axis=0)
        rows = self._held_out[any_b]
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield self._inputs(part, {name: self._data.present(name)[part] for name in names}, None)

    def _inputs(
        self, rows: Array, shown: Mapping[str, Array], source: np.random.Generator | None
    ) -> Inputs:
        """The rows' tensors; a modality that the data lacks, or that is not in `shown`, is None."""
        tensors: dict[str, torch.Tensor | None] = dict.fromkeys(self._spec.modalities)
        lengths: dict[str, torch.Tensor] = {}
        turns = batches.rotations(len(rows), source) if source else None
        for name, column in self._data.modalities.items():
            if name not in shown:
                continue
            modality = self._spec.modalities[name]
            values, counts = column.take(rows, shown[name])
            if source is not None and turns is not None:
                values = _varied(modality, values, turns, source)
            tensors[name] = torch.from_numpy(values)
            if modality.optional or modality.varies:
                lengths[name] = torch.from_numpy(counts)
        named = tuple(str(self._data.rows[row]) for row in rows)
        return Inputs(tensors, lengths, self._targets(rows, tensors, lengths), named)

    def _targets(
        self,
        rows: Array,
        tensors: Mapping[str, torch.Tensor | None],
        lengths: Mapping[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """Every head's target; none for a head whose inputs are not there."""
        found: dict[str, torch.Tensor] = {}
        for name in self._spec.heads:
            if name in self._data.targets:
                found[name] = torch.from_numpy(self._data.targets[name][rows])
                continue
            sides = self._supplied[name]
            if not sides or any(all(tensors[each] is None for each in side) for side in sides):
                continue
            tokens = tensors[sides[0][0]]
            if self._spec.heads[name].matches or tokens is None:
                found[name] = torch.zeros(len(rows), dtype=torch.long)
            else:
                places = torch.arange(tokens.shape[1])
                is_past = places >= lengths[sides[0][0]][:, None]
                found[name] = tokens.masked_fill(is_past, IGNORED)
        return found


def supplied(spec: Spec, name: str) -> tuple[tuple[str, ...], ...]:
    """What a head without a column learns from.

    The two sides of a contrastive head, each with the modalities behind it; the tokens of a
    language model; nothing for the others.
    """
    head, graph = spec.heads[name], wiring.resolve(spec)
    if head.matches:
        streams = (graph.segments[side] for side in heads.sources(head))
        return tuple(tuple(s.modality for s in side if s.modality) for side in streams)
    segment = token_segment(spec, graph, head)
    hides = spec.loss_of(name) == "masked"  # the data does not say which tokens
    return () if segment is None or hides else ((segment,),)


def _varied(modality: Modality, values: Array, turns: Array, source: np.random.Generator) -> Array:
    """The values augmented: images shifted, triples of a series rotated, the rest as it is."""
    if isinstance(modality, Image):
        return batches.shifted(values, source)
    if isinstance(modality, Frames) and modality.kind == "series" and modality.features % 3 == 0:
        return batches.rotated(values, turns)
    return values
