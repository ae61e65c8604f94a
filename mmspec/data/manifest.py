"""Your own data: a CSV or JSON-lines file, one row a sample, columns named as in the spec."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import columns, endings, files, split
from mmspec.data.encode.names import is_absent
from mmspec.data.encode.values import described
from mmspec.data.faults import Faults, fault
from mmspec.data.paths import Home
from mmspec.data.rows import Rows, read_csv, read_json_lines
from mmspec.data.source import Opened, Raw, Source
from mmspec.schema.modality import Image, Modality, Table, Tokens
from mmspec.schema.spec import Spec

ENDINGS: Final = (".csv", ".jsonl")
_ONE_IN: Final = 5
"""Without a column `split`, one row in so many is held out."""


def load(path: Path, spec: Spec, allow_outside: bool = False) -> Source:
    """The rows of a manifest; files that they name are opened when they are asked for.

    `allow_outside`: relative paths may lead out of its folder. Raises MmspecError: MM501 and MM502
    where it cannot be read, MM511 where a split is unknown, MM514 where a column nearly is one.
    """
    if path.suffix.lower() not in ENDINGS:
        ending = f"`{path.suffix}`" if path.suffix else "a name without an ending"
        message = f"`{path}`: CSV (.csv) and JSON lines (.jsonl) are read, not {ending}"
        raise fault("MM502", message, endings.to_manifest(path))
    text = files.text(path)
    rows = (read_csv if path.suffix.lower() == ".csv" else read_json_lines)(path.name, text)
    columns.check(path.name, rows, spec)
    return _source(path.stem, rows, spec, Home(path.parent, allow_outside), _held_out(rows, spec))


def given(cells: Iterable[Mapping[str, Any]], spec: Spec, folder: Path) -> Source:
    """Rows that stand in no file, all of them held out; relative paths are looked up in a folder.

    Raises MmspecError MM505 where a row is no mapping of names to values.
    """
    found: list[dict[str, Any]] = []
    for number, row in enumerate(cells):
        if not isinstance(row, Mapping):
            raise fault("MM505", f"row {number} is no mapping of names to values: {described(row)}")
        found.append({str(key): _plain(cell) for key, cell in row.items()})
    header = dict.fromkeys(key for row in found for key in row)
    rows = Rows(tuple(header), found, [f"row {number}" for number in range(len(found))])
    columns.check("the rows given", rows, spec)
    return _source("rows", rows, spec, Home(folder, is_open=True), np.ones(len(found), bool))


def _plain(cell: Any) -> Any:
    """A value as a manifest has it: a path is text, and an empty text is no value."""
    found = str(cell) if isinstance(cell, os.PathLike) else cell
    return None if isinstance(found, str) and not found else found


def _source(name: str, rows: Rows, spec: Spec, home: Home, held_out: NDArray[np.bool_]) -> Source:
    """The columns that a spec reads; files are opened when they are asked for."""
    has_split = _has_split(rows, spec)
    cells = {name: rows.column(name) for name in rows.header}
    raw: dict[str, Sequence[Raw]] = dict(cells)
    for key, modality in spec.modalities.items():
        if isinstance(modality, Table):
            raw |= _table(key, modality, cells)
        elif key in cells:
            ways = partial(_open, modality, home), partial(_path, modality, home.folder)
            raw[key] = Opened(cells[key], *ways, f"allow_outside={home.is_open}")
    digest = hashlib.sha256(json.dumps([rows.header, rows.cells], default=str).encode())
    return Source(name, raw, held_out, rows.names, digest.hexdigest(), has_split)


def _path(modality: Modality, folder: Path, cell: Raw) -> Path | None:
    """The file that a cell names; None where the cell is the value itself."""
    if not isinstance(cell, str):
        return None
    if isinstance(modality, Tokens) and not cell.lower().endswith(".txt"):
        return None
    return folder / cell


def _open(modality: Modality, home: Home, cell: Raw) -> Raw:
    """The value of a cell: what its path leads to, or the cell where it is no path."""
    if _path(modality, home.folder, cell) is None:
        return cell
    path = home.file(str(cell))
    if isinstance(modality, Tokens):
        return files.text(path)
    if isinstance(modality, Image):
        return files.image(path, modality.size)
    assert not isinstance(modality, Table), modality
    return (files.sound if modality.of_sound else files.array)(path)


def _table(
    name: str, modality: Table, given: Mapping[str, Sequence[Raw]]
) -> dict[str, Sequence[Raw]]:
    """A table's rows: its own cells where they hold mappings, else gathered from its columns."""
    own = given.get(name, [])
    if any(isinstance(cell, Mapping) for cell in own):
        return {name: own}
    wanted = {key: f"{name}.{key}" for key in modality.columns}
    found = {key: given.get(long, given.get(key)) for key, long in wanted.items()}
    if all(cells is None for cells in found.values()):
        return {}
    cells = {key: column for key, column in found.items() if column is not None}
    rows = (dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True))
    return {name: [row if any(not is_absent(v) for v in row.values()) else None for row in rows]}


def _held_out(rows: Rows, spec: Spec) -> NDArray[np.bool_]:
    """Which rows are held out: as `split` says, else by a hash of what the row holds."""
    if not _has_split(rows, spec):
        return _drawn(rows)
    name, faults, found = columns.SPLIT, Faults(), np.zeros(len(rows.cells), bool)
    for index, cell in enumerate(rows.column(name)):
        with faults.at(rows.names[index], name):
            found[index] = _is_held_out(cell)
    faults.check()
    return found


def _has_split(rows: Rows, spec: Spec) -> bool:
    return columns.SPLIT in rows.header and columns.SPLIT not in (*spec.modalities, *spec.heads)


def _is_held_out(cell: Raw) -> bool:
    found = split.side(cell)
    if found is None:
        shown = "an empty cell" if is_absent(cell) else f"`{cell}`"
        words = f"{' or '.join(split.TRAIN)}; {', '.join(split.HELD_OUT)} (all: held out)"
        raise fault("MM511", f"{shown} names no split", f"write {words}")
    return found


def _drawn(rows: Rows) -> NDArray[np.bool_]:
    """One row in five, by its content alone: equal rows always lie on the same side.

    Of so few rows that all would lie on one side, those with the first hash lie on the other.
    """
    hashes = [_hash(cells) for cells in rows.cells]
    found: NDArray[np.bool_] = np.array([value % _ONE_IN == 0 for value in hashes], bool)
    if len(set(hashes)) > 1 and (found.all() or not found.any()):
        found ^= np.array([value == min(hashes) for value in hashes], bool)
    return found


def _hash(cells: Mapping[str, Any]) -> int:
    filled = {name: cell for name, cell in cells.items() if cell is not None}
    text = json.dumps(filled, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")
