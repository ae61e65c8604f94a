"""The cells of a manifest, before anything is known of what they mean.

Names of columns are trimmed and in Unicode's normal form C; cells stay as they are, line ends too.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize

from mmspec.data import endings, numerals
from mmspec.data.faults import Faults, fault
from mmspec.diagnostics import MmspecError

_LINE_END: Final = re.compile("\r\n|\n|\r")
_AN_OBJECT: Final = 'a row is one line: {"text": "...", "label": "..."}'
_DEEPEST: Final = 64
"""Lists in lists, at most: numpy's limit."""


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
        header = [_name(cell) for cell in next(reader, [])]
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
    if header and header[0].casefold().startswith("sep="):
        raise _bad(f"{name}:1", f"`{header[0]}` is no header", "remove this line")
    mark = endings.mark_of(header[0]) if len(header) == 1 else ""
    if mark:
        message = f"the cells of the header are separated by {mark!a}, not by commas"
        raise _bad(f"{name}:1", message, endings.to_commas(Path(name), mark))
    if not any(header) or "" in header:
        advice = "name every column in the first line"
        raise _bad(f"{name}:1", "a column has no name" if header else "no header", advice)


def _cells(name: str, line: int, header: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) != len(header):
        advice = "quote a cell that holds a comma; a number has a point before its decimals"
        raise _bad(f"{name}:{line}", f"{len(row)} cells under {len(header)} columns", advice)
    return {key: cell or None for key, cell in zip(header, row, strict=True)}


def read_json_lines(name: str, text: str) -> Rows:
    """Rows of JSON objects, one a line; null, "" and a missing key are absent. Raises MM502."""
    cells: list[dict[str, Any]] = []
    names: list[str] = []
    if text.lstrip().startswith("["):
        message = "one JSON list, and JSON lines are an object a line"
        raise _bad(f"{name}:1", message, endings.to_lines(Path(name)))
    faults = Faults()
    for number, line in enumerate(_LINE_END.split(text), 1):
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
        row = json.loads(line, object_pairs_hook=_once, parse_int=numerals.as_json)
        if _is_deep(row):
            raise RecursionError
    except RecursionError:
        raise _bad(place, f"lists in lists more than {_DEEPEST} deep") from None
    except ValueError as error:
        raise _bad(place, f"not JSON: {error}", _AN_OBJECT) from None
    if not isinstance(row, dict):
        raise _bad(place, "not a JSON object", _AN_OBJECT)
    return {key: None if value == "" else value for key, value in row.items()}


def _is_deep(value: Any) -> bool:
    """Whether lists and objects are nested deeper than any value is."""
    level = [value] if isinstance(value, list | dict) else []
    for _ in range(_DEEPEST):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for each in inner for item in each if isinstance(item, list | dict)]
    return bool(level)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where a key stands twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if (name := _name(key)) in found:
            raise ValueError(f"the key `{name}` stands twice")
        found[name] = value
    return found


def _name(text: str) -> str:
    """A column's name."""
    return normalize("NFC", text.strip())


def _bad(place: str, message: str, advice: str = "") -> MmspecError:
    return fault("MM502", f"{place}: {message}", advice)
