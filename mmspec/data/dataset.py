"""A source encoded for one spec: every column an array, every problem named with its row."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.arrays import Column, Fixed, Ragged, own_digest
from mmspec.data.encode import audio, frames, image, names, table, target, tokens, video
from mmspec.data.encoding import Encoder, Task, encoded, keeper, survey
from mmspec.data.faults import Faults, fault
from mmspec.data.source import Opened, Raw, Report, Source, silent
from mmspec.data.store import spooled
from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.schema.modality import Frames, Image, Modality, Table, Tokens, Video
from mmspec.schema.spec import Spec

Array = NDArray[Any]
Targets = Mapping[str, Array]
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
        found = {name: column.digest for name, column in self.modalities.items()}
        for name, part in (found | {n: own_digest(t) for n, t in self.targets.items()}).items():
            digest.update(f"{name} {part}".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """Names that were learnt before: of each table's categories by modality, of classes by head."""

    categories: Mapping[str, table.Codes]
    classes: Mapping[str, names.Names]


@dataclass(frozen=True, slots=True)
class _Encoding:
    """A source on its way to a spec, with the problems met so far."""

    source: Source
    spec: Spec
    heads: Collection[str]
    """Heads whose columns are read."""
    known: Known | None = None
    """Names that hold; None: they are learnt from the training rows."""
    faults: Faults = field(default_factory=Faults)
    categories: dict[str, table.Codes] = field(default_factory=dict)
    report: Report = silent

    def each(self, name: str, encode: Encoder, absent: str) -> Iterator[Any]:
        """Every row of a column encoded, None where there is no value.

        `absent`: why a row without a value is wrong; empty where it is not.
        """
        return encoded(Task(name, encode, absent), *self._rows(name))

    def column(self, name: str, encode: Encoder, pack: Callable[..., Column], size: int) -> Column:
        """A modality's column, packed; `size`: the bytes of a row, 0 where they differ."""
        modality, values = self.spec.modalities[name], self.source.columns[name]
        advice = "" if modality.optional else "fill it, or write `optional: true` in the spec"
        task = Task(name, encode, advice)
        if not isinstance(values, Opened):
            return pack(encoded(task, *self._rows(name)), keep=spooled)
        about = f"{modality.model_dump_json()} {advice}"
        look = partial(survey, values, about, size)
        seen = look()
        return pack(
            encoded(task, *self._rows(name), seen), keep=keeper(name, seen, look, self.report)
        )

    def _rows(self, name: str) -> tuple[Sequence[Raw], Sequence[str], Faults, Report]:
        return self.source.columns[name], self.source.rows, self.faults, self.report

    def missing(self, kind: str, name: str, advice: str) -> MmspecError:
        """MM503, at the place in the spec."""
        close = suggest(name, self.source.columns)
        hint = f"did you mean {close}? " if close else ""
        given = ", ".join(self.source.columns) or "none"
        message = f"the data has no column `{name}`; it has {given}"
        return MmspecError(
            Diagnostic(
                "MM503", message, self.spec.span(kind, name), f"{kind}.{name}", hint + advice
            )
        )


def encode(source: Source, spec: Spec, report: Report = silent) -> Dataset:
    """Encode the columns that a spec names; raises MmspecError MM501 to MM512, MM603.

    `report` is told how far it is.
    """
    return _encoded(_Encoding(source, spec, learning(spec), report=report))


def learning(spec: Spec) -> list[str]:
    """Heads that learn from a column of their name."""
    return [name for name, head in spec.heads.items() if head.of_column]


def encode_known(
    source: Source, spec: Spec, known: Known, judged: Collection[str] = (), report: Report = silent
) -> Dataset:
    """Encode rows for a model that is trained, and the targets of the heads to be judged by them.

    Raises MmspecError as `encode` does; MM508 for a name that was not learnt.
    """
    return _encoded(_Encoding(source, spec, judged, known, report=report))


def _encoded(work: _Encoding) -> Dataset:
    source, spec = work.source, work.spec
    total = len(source.rows)
    assert all(len(column) == total for column in source.columns.values()), source.name
    if not total:
        raise fault("MM510", f"`{source.name}` has no rows", "add a row a sample")
    _check_columns(work)
    found = {n: _modality(work, n, m) for n, m in spec.modalities.items() if n in source.columns}
    filled = _filled(found)
    if work.known is None:
        _check_split(source.name, filled & ~source.held_out, filled & source.held_out)
    classes: dict[str, tuple[str, ...]] = {}
    targets: dict[str, NDArray[Any]] = {}
    for name in work.heads:
        head = spec.heads[name]
        if head.labels:
            targets[name] = _labels(work, name, head.labels, classes)
        elif head.of_column:
            targets[name] = _numbers(work, name, head.size or 1)
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
    for name in work.heads:
        if name not in columns:
            advice = "add the column, or leave the head out"
            work.faults.add(work.missing("heads", name, advice))
    work.faults.check()


def _modality(work: _Encoding, name: str, modality: Modality) -> Column:
    """One modality's column."""
    if isinstance(modality, Table):
        codes = work.categories[name] = _codes(work, name, modality)
        kind = table.dtype(modality)
        pack = partial(Fixed.pack, shape=(len(modality.columns),), kind=kind)
        return work.column(name, partial(table.encode, modality, codes), pack, 0)
    if isinstance(modality, Image):
        shape = (modality.channels, *modality.size)
        pack = partial(Fixed.pack, shape=shape, kind=np.uint8)
        return work.column(name, partial(image.encode, modality), pack, math.prod(shape))
    encode, empty = _sequence(modality)
    cut = partial(Ragged.pack, longest=modality.length.max, empty=empty)
    return work.column(name, encode, cut, 0)


def _codes(work: _Encoding, name: str, modality: Table) -> table.Codes:
    """The names of a table's categories."""
    if work.known is not None:
        return work.known.categories[name]
    codes: table.Codes = {}
    with work.faults.at(_LEARNING, name):
        codes = table.learn(modality, work.source.columns[name], ~work.source.held_out)
    work.faults.check()
    return codes


def _sequence(modality: Tokens | Video | Frames) -> tuple[Encoder, Array]:
    """What encodes a value, and what none looks like."""
    if isinstance(modality, Tokens):
        return partial(tokens.encode, modality), np.zeros(0, np.int64)
    if isinstance(modality, Video):
        shape = (0, modality.channels, *modality.size)
        return partial(video.encode, modality), np.zeros(shape, np.uint8)
    return partial(_encode_frames, modality), np.zeros((0, modality.features), np.float32)


def _encode_frames(modality: Frames, raw: Raw) -> NDArray[Any]:
    kind = audio.encode if modality.of_sound else frames.encode
    return kind(modality, raw)


def _labels(
    work: _Encoding, name: str, most: int, classes: dict[str, tuple[str, ...]]
) -> NDArray[Any]:
    """int64 [N], of so many classes at most; keeps the names in `classes`."""
    known = work.known.classes[name] if work.known else _learnt(work, name, most)
    if known.names is not None:
        classes[name] = known.names
    ids = work.each(name, partial(target.label, known), absent="")
    return np.array([target.IGNORED if each is None else each for each in ids], np.int64)


def _learnt(work: _Encoding, name: str, most: int) -> names.Names:
    """The names of a head's classes, so many at most."""
    values = list(work.source.columns[name])
    training = [v for v, out in zip(values, work.source.held_out, strict=True) if not out]
    if all(names.is_absent(value) for value in training):
        raise fault("MM510", f"no training row has a value of `{name}`", "label some rows")
    known = names.Names(None, 0)
    with work.faults.at(_LEARNING, name):
        known = names.learn(training, values, most)
    work.faults.check()
    return known


def _numbers(work: _Encoding, name: str, outputs: int) -> NDArray[Any]:
    """float32 [N, outputs]."""
    advice = "a regressor needs a target in every row; leave the row out"
    return np.stack([*work.each(name, partial(target.regressed, outputs), advice)])


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
