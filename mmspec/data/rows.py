"""The cells of a manifest, before anything is known of what they mean."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmspec.data.faults import Faults, fault
from mmspec.diagnostics import MmspecError


@dataclass(frozen=True, slots=True)
class Rows:
    """The header, the cells of each row by column (a missing one is None), the rows' names."""

    header: tuple[str, ...]
    cells: Sequence[dict[str, Any]]
    names: Sequence[str]

    def column(self, name: str) -> list[Any]:
        """A column's cells."""
        return [cells.get(name) for cells in self.cells]


def read_csv(name: str, text: str) -> Rows:
    """Rows of comma-separated text with a header; an empty cell is absent. Raises MM502."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    cells: list[dict[str, Any]] = []
    names: list[str] = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_header(name, header)
        start = reader.line_num + 1
        for row in reader:
            if row:
                cells.append(_cells(name, start, header, row))
                names.append(f"{name}:{start}")
            start = reader.line_num + 1
    except csv.Error as error:
        raise _bad(f"{name}:{reader.line_num}", f"not CSV: {error}") from None
    return Rows(tuple(header), cells, names)


def _check_header(name: str, header: list[str]) -> None:
    twice = sorted({cell for cell in header if header.count(cell) > 1 and cell})
    if twice:
        raise _bad(f"{name}:1", f"the header names `{twice[0]}` twice")
    if not any(header) or "" in header:
        advice = "name every column in the first line"
        raise _bad(f"{name}:1", "a column has no name" if header else "no header", advice)


def _cells(name: str, line: int, header: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) != len(header):
        advice = "quote a cell that holds a comma"
        raise _bad(f"{name}:{line}", f"{len(row)} cells under {len(header)} columns", advice)
    return {key: cell or None for key, cell in zip(header, row, strict=True)}


def read_json_lines(name: str, text: str) -> Rows:
    """Rows of JSON objects, one a line; null, "" and a missing key are absent. Raises MM502."""
    cells: list[dict[str, Any]] = []
    names: list[str] = []
    faults = Faults()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            cells.append(_object(place, line))
            names.append(place)
        except MmspecError as error:
            faults.add(error)
    faults.check()
    header = dict.fromkeys(key for row in cells for key in row)
    return Rows(tuple(header), cells, names)


def _object(place: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _bad(place, f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise _bad(place, "not a JSON object", 'write {"text": "...", "label": "..."}')
    return {key: None if value == "" else value for key, value in row.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where a key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
        raise ValueError(f"the key `{twice}` stands twice")
    return found


def _bad(place: str, message: str, advice: str = "") -> MmspecError:
    return fault("MM502", f"{place}: {message}", advice)
