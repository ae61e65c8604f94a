"""Your own data: a CSV or JSON-lines file, one row a sample, columns named as in the spec."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import files
from mmspec.data.faults import Faults, fault
from mmspec.data.rows import Rows, read_csv, read_json_lines
from mmspec.data.source import Raw, Source
from mmspec.schema.modality import Image, Modality, Table, Tokens
from mmspec.schema.spec import Spec

ENDINGS: Final = (".csv", ".jsonl")
SPLIT: Final = "split"
_HELD_OUT: Final = frozenset({"held-out", "test", "val", "valid", "validation", "dev"})
_ONE_IN: Final = 5
"""Without a column `split`, one row in so many is held out."""


def load(path: Path, spec: Spec) -> Source:
    """The rows of a manifest; files that they name are opened when they are asked for.

    Raises MmspecError: MM501 and MM502 where it cannot be read, MM511 where a split is unknown.
    """
    if path.suffix.lower() not in ENDINGS:
        message = f"`{path}` is not a manifest"
        raise fault("MM502", message, f"a manifest ends in {' or '.join(ENDINGS)}")
    text = files.text(path)
    rows = (read_csv if path.suffix.lower() == ".csv" else read_json_lines)(path.name, text)
    columns = {name: rows.column(name) for name in rows.header}
    raw: dict[str, Sequence[Raw]] = dict(columns)
    for name, modality in spec.modalities.items():
        if isinstance(modality, Table):
            raw |= _table(name, modality, columns)
        elif name in columns:
            raw[name] = Opened(columns[name], partial(_open, modality, path.parent))
    digest = hashlib.sha256(json.dumps([rows.header, rows.cells], default=str).encode())
    return Source(path.stem, raw, _held_out(rows, spec), rows.names, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Opened(Sequence[Raw]):
    """Cells, each opened when it is asked for; raises MmspecError (MM501) where it cannot be."""

    cells: Sequence[Raw]
    open: Callable[[Raw], Raw]

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Opened(self.cells[index], self.open)
        cell = self.cells[index]
        return None if cell is None else self.open(cell)


def _open(modality: Modality, folder: Path, cell: Raw) -> Raw:
    """The value of a cell: what its path leads to, or the cell where it is no path."""
    if not isinstance(cell, str):
        return cell
    if isinstance(modality, Tokens):
        return files.text(folder / cell) if cell.lower().endswith(".txt") else cell
    if isinstance(modality, Image):
        return files.image(folder / cell, modality.size)
    assert not isinstance(modality, Table), modality
    read = files.sound if modality.kind == "audio" else files.array
    return read(folder / cell)


def _table(
    name: str, modality: Table, columns: Mapping[str, Sequence[Raw]]
) -> dict[str, Sequence[Raw]]:
    """A table's rows: its own cells where they hold mappings, else gathered from its columns."""
    own = columns.get(name, [])
    if any(isinstance(cell, Mapping) for cell in own):
        return {name: own}
    wanted = {key: f"{name}.{key}" for key in modality.columns}
    found = {key: columns.get(long, columns.get(key)) for key, long in wanted.items()}
    if all(cells is None for cells in found.values()):
        return {}
    given = {key: cells for key, cells in found.items() if cells is not None}
    rows = (dict(zip(given, cells, strict=True)) for cells in zip(*given.values(), strict=True))
    return {name: [row if any(v is not None for v in row.values()) else None for row in rows]}


def _held_out(rows: Rows, spec: Spec) -> NDArray[np.bool_]:
    """Which rows are held out: as `split` says, else by a hash of what the row holds."""
    if SPLIT not in rows.header or SPLIT in (*spec.modalities, *spec.heads):
        return _drawn(rows)
    faults, found = Faults(), np.zeros(len(rows.cells), bool)
    for index, cell in enumerate(rows.column(SPLIT)):
        with faults.at(rows.names[index], SPLIT):
            found[index] = _is_held_out(cell)
    faults.check()
    return found


def _is_held_out(cell: Raw) -> bool:
    word = str(cell or "").strip().lower().replace("_", "-")
    if word != "train" and word not in _HELD_OUT:
        shown = f"`{cell}`" if cell else "an empty cell"
        raise fault("MM511", f"{shown} names no split", "write train or held-out")
    return word in _HELD_OUT


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
