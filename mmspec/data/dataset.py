"""A source encoded for one spec: every column an array, every problem named with its row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.arrays import Column, Fixed, Maybe, Ragged
from mmspec.data.encode import audio, frames, image, names, table, target, tokens, video
from mmspec.data.faults import Faults, fault
from mmspec.data.source import Raw, Source
from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.schema import head as heads
from mmspec.schema.modality import Frames, Image, Modality, Table, Tokens, Video
from mmspec.schema.spec import Spec

Encoder = Callable[[Raw], Any]
Array = NDArray[Any]
Targets = Mapping[str, Array]
_SUPPLIED: Final = (heads.LanguageModel, heads.Contrastive)
"""Heads whose targets are the inputs themselves."""
_LEARNING: Final = "the training rows"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded rows: the modalities found, targets of classifiers and regressors, the split."""

    modalities: Mapping[str, Column]
    targets: Targets
    """int64 [N] (-100: no label) or float32 [N, outputs]."""
    held_out: NDArray[np.bool_]
    classes: Mapping[str, tuple[str, ...]]
    """The names of the classes by head, in the order of their ids, where labels are names."""
    categories: Mapping[str, table.Codes]
    """The names of the codes of each table's category columns, by modality."""
    rows: Sequence[str]
    """How an error names each row."""
    notes: tuple[str, ...]
    """What was found, absent or cut, a line each."""

    def present(self, modality: str) -> NDArray[np.bool_]:
        """Which rows have a modality: bool [N], all false where the data lacks it."""
        found = self.modalities.get(modality)
        return np.zeros(len(self.held_out), bool) if found is None else found.present

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which rows have any modality, bool [N]: the others are left out."""
        return _filled(self.modalities)

    def fingerprint(self) -> str:
        """A hash of every encoded value, and of the split."""
        digest = hashlib.sha256(self.held_out.tobytes())
        columns = {name: column.parts() for name, column in self.modalities.items()}
        for name, parts in (columns | {n: (t,) for n, t in self.targets.items()}).items():
            for part in parts:
                digest.update(f"{name} {part.dtype} {part.shape}".encode())
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Encoding:
    """A source on its way to a spec, with the problems met so far."""

    source: Source
    spec: Spec
    faults: Faults = field(default_factory=Faults)
    categories: dict[str, table.Codes] = field(default_factory=dict)

    def each(self, name: str, encode: Encoder, absent: str) -> list[Any]:
        """Every row of a column encoded, None where there is no value.

        `absent`: why a row without a value is wrong; empty where it is not.
        """
        values, found = self.source.columns[name], list[Any]()
        for index, row in enumerate(self.source.rows):
            found.append(None)
            with self.faults.at(row, name):
                raw = values[index]
                if raw is not None:
                    found[index] = encode(raw)
                if absent and (found[index] is None or np.size(found[index]) == 0):
                    state = "has no value" if raw is None else "is empty"
                    raise fault("MM504", f"`{name}` {state}", absent)
        self.faults.check()
        return found

    def missing(self, kind: str, name: str, advice: str) -> MmspecError:
        """MM503, at the place in the spec."""
        close = suggest(name, self.source.columns)
        hint = f"did you mean {close}? " if close else ""
        given = ", ".join(self.source.columns)
        message = f"the data has no column `{name}`; it has {given}"
        return MmspecError(
            Diagnostic(
                "MM503", message, self.spec.span(kind, name), f"{kind}.{name}", hint + advice
            )
        )


def encode(source: Source, spec: Spec) -> Dataset:
    """Encode the columns that a spec names; raises MmspecError MM501 to MM512."""
    total = len(source.rows)
    assert all(len(column) == total for column in source.columns.values()), source.name
    if not total:
        raise fault("MM510", f"`{source.name}` has no rows", "add a row a sample")
    work = _Encoding(source, spec)
    _check_columns(work)
    found = {n: _modality(work, n, m) for n, m in spec.modalities.items() if n in source.columns}
    filled = _filled(found)
    _check_split(source.name, filled & ~source.held_out, filled & source.held_out)
    classes: dict[str, tuple[str, ...]] = {}
    targets: dict[str, NDArray[Any]] = {}
    for name, head in spec.heads.items():
        if isinstance(head, heads.Classifier):
            targets[name] = _labels(work, name, head, classes)
        elif isinstance(head, heads.Regressor):
            targets[name] = _numbers(work, name, head)
    notes = tuple(_notes(work, found, targets))
    held_out = source.held_out.astype(bool)
    return Dataset(found, targets, held_out, classes, work.categories, source.rows, notes)


def _filled(found: Mapping[str, Column]) -> NDArray[np.bool_]:
    present: NDArray[np.bool_] = np.any([column.present for column in found.values()], axis=0)
    return present


def _check_split(name: str, is_training: Array, is_held_out: Array) -> None:
    """Raise MM510 where there is nothing to train on, or nothing held out."""
    for rows, what in ((is_training, "to train on"), (is_held_out, "held out")):
        if not rows.any():
            advice = "name the split of each row in a column `split`: train or held-out"
            count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            message = f"`{name}` has {count}, and none with a value is {what}"
            raise fault("MM510", message, advice)


def _check_columns(work: _Encoding) -> None:
    """Raise MM503 for each column that the spec needs and the data lacks."""
    columns = work.source.columns
    has_any = not columns.keys().isdisjoint(work.spec.modalities)
    for name, modality in work.spec.modalities.items():
        if name not in columns and not (modality.optional and has_any):
            advice = "add the column, or write `optional: true`"
            advice = (
                "the data needs at least one of the modalities" if modality.optional else advice
            )
            work.faults.add(work.missing("modalities", name, advice))
    for name, head in work.spec.heads.items():
        if name not in columns and not isinstance(head, _SUPPLIED):
            advice = "add the column, or leave the head out"
            work.faults.add(work.missing("heads", name, advice))
    work.faults.check()


def _modality(work: _Encoding, name: str, modality: Modality) -> Column:
    """One modality's column."""
    advice = "" if modality.optional else "fill it, or write `optional: true` in the spec"
    if isinstance(modality, Table):
        values, is_training = work.source.columns[name], ~work.source.held_out
        codes: table.Codes = {}
        with work.faults.at(_LEARNING, name):
            codes = table.learn(modality, values, is_training)
        work.faults.check()
        work.categories[name] = codes
        rows = work.each(name, partial(table.encode, modality, codes), advice)
        return Fixed.pack(rows, (len(modality.columns),), table.dtype(modality))
    if isinstance(modality, Image):
        images = work.each(name, partial(image.encode, modality), advice)
        return Fixed.pack(images, (modality.channels, *modality.size), np.uint8)
    if isinstance(modality, Tokens):
        ids = work.each(name, partial(tokens.encode, modality), advice)
        return Ragged.pack(ids, modality.length.max, np.zeros(0, np.int64))
    if isinstance(modality, Video):
        shots = work.each(name, partial(video.encode, modality), advice)
        empty = np.zeros((0, modality.channels, *modality.size), np.uint8)
        return Ragged.pack(shots, modality.length.max, empty)
    return _frames(work.each(name, partial(_encode_frames, modality), advice), modality)


def _encode_frames(modality: Frames, raw: Raw) -> NDArray[Any]:
    kind = audio.encode if modality.kind == "audio" else frames.encode
    return kind(modality, raw)


def _frames(items: Sequence[Maybe], modality: Frames) -> Ragged:
    empty = np.zeros((0, modality.features), np.float32)
    return Ragged.pack(items, modality.length.max, empty)


def _labels(
    work: _Encoding, name: str, head: heads.Classifier, classes: dict[str, tuple[str, ...]]
) -> NDArray[Any]:
    """int64 [N]; keeps the names learnt in `classes`."""
    values = list(work.source.columns[name])
    training = [v for v, out in zip(values, work.source.held_out, strict=True) if not out]
    if all(names.is_absent(value) for value in training):
        raise fault("MM510", f"no training row has a value of `{name}`", "label some rows")
    known = names.Names(None, 0)
    with work.faults.at(_LEARNING, name):
        known = names.learn(training, values, head.classes)
    work.faults.check()
    if known.names is not None:
        classes[name] = known.names
    ids = work.each(name, partial(target.label, known), absent="")
    return np.array([target.IGNORED if each is None else each for each in ids], np.int64)


def _numbers(work: _Encoding, name: str, head: heads.Regressor) -> NDArray[Any]:
    """float32 [N, outputs]."""
    advice = "a regressor needs a target in every row; leave the row out"
    return np.stack(work.each(name, partial(target.regressed, head.outputs), advice))


def _notes(work: _Encoding, found: Mapping[str, Column], targets: Targets) -> list[str]:
    """Which columns were used, which were not there, what was cut or left unlabelled."""
    total = len(work.source.rows)
    lines = [f"{work.source.name}: columns {', '.join([*found, *targets])}"]
    lines += [f"{name}: not in the data" for name in work.spec.modalities if name not in found]
    empty = [work.source.rows[int(index)] for index in np.flatnonzero(~_filled(found))]
    if empty:
        shown = ", ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
        lines.append(f"left out: {len(empty):,} of {total:,} rows without any modality ({shown})")
    for name, column in found.items():
        absent = total - int(column.present.sum())
        if absent:
            lines.append(f"{name}: absent in {absent:,} of {total:,} rows")
        if isinstance(column, Ragged) and column.cut:
            lines.append(f"{name}: {column.cut:,} of {total:,} rows cut to the longest allowed")
    for name, values in targets.items():
        unlabelled = int((values == target.IGNORED).sum()) if values.ndim == 1 else 0
        if unlabelled:
            lines.append(f"{name}: no label in {unlabelled:,} of {total:,} rows")
    return lines
