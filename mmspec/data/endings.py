"""Tables and arrays of kinds that are not read: what turns them into one that is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

_CELLS: Final = (
    "python -c 'import csv, sys; "
    'csv.writer(sys.stdout).writerows(csv.reader(sys.stdin, delimiter="{mark}"))\''
    " < {old} > {new}.csv"
)
_LIST: Final = (
    "python -c 'import json, sys; [print(json.dumps(row)) for row in json.load(sys.stdin)]'"
    " < {old} > {new}.jsonl"
)
_FRAME: Final = (
    "in Python: pandas.read_{kind}('{name}').to_json('{stem}.jsonl', orient='records', lines=True)"
)
_ROWS: Final = {
    **dict.fromkeys((".tsv", ".tab"), _CELLS.replace("{mark}", r"\t")),
    ".json": _LIST,
    **dict.fromkeys((".ndjson", ".jsonlines", ".ldjson"), "it is JSON lines: mv {old} {new}.jsonl"),
    **dict.fromkeys((".parquet", ".pq"), _FRAME.replace("{kind}", "parquet")),
    **dict.fromkeys((".feather", ".arrow"), _FRAME.replace("{kind}", "feather")),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV, in UTF-8, with commas"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar"), "unpack it first"),
}
_SAVE: Final = "in Python: numpy.save('{stem}.npy', %s)"
_ARRAYS: Final = {
    **dict.fromkeys((".tsv", ".tab", ".txt", ".dat"), _SAVE % "numpy.loadtxt('{name}')"),
    ".json": _SAVE % "json.load(open('{name}'))",
    **dict.fromkeys((".jsonl", ".ndjson"), _SAVE % "[json.loads(line) for line in open('{name}')]"),
    ".npz": _SAVE % "numpy.load('{name}')[NAME]",
    **dict.fromkeys((".parquet", ".pq"), _SAVE % "pandas.read_parquet('{name}').to_numpy()"),
    **dict.fromkeys((".pt", ".pth"), _SAVE % "torch.load('{name}').numpy()"),
}
_SHOWN: Final = {"\t": r"\t"}


def to_manifest(path: Path) -> str:
    """How a file becomes a manifest, by the ending of its name."""
    otherwise = "write CSV with a header, or a JSON object a line"
    return _filled(_ROWS.get(path.suffix.lower(), otherwise), path, path.stem)


def to_array(path: Path) -> str:
    """How a file becomes an array, by the ending of its name."""
    return _filled(_ARRAYS.get(path.suffix.lower(), _SAVE % "VALUES"), path, path.stem)


def to_lines(path: Path) -> str:
    """How one JSON list becomes JSON lines."""
    return _filled(_LIST, path, f"{path.stem}-lines")


def to_commas(path: Path, mark: str) -> str:
    """How a table whose cells stand between other marks becomes CSV."""
    cells = _CELLS.replace("{mark}", _SHOWN.get(mark, mark))
    return _filled(cells, path, f"{path.stem}-commas")


def from_marks(path: Path, mark: str) -> str:
    """How a file of numbers between other marks, maybe with decimal commas, becomes an array."""
    shown = _SHOWN.get(mark, mark)
    point = "converters=lambda cell: float(cell.replace(',', '.'))"
    read = f"numpy.loadtxt('{{name}}', delimiter='{shown}', encoding='utf-8', {point})"
    return _filled(_SAVE % read, path, path.stem)


def mark_of(line: str) -> str:
    """What else than a comma separates the cells of a line; nothing where it seems to be none."""
    return next((mark for mark in "\t;|" if mark in line), "")


def _filled(advice: str, path: Path, new: str) -> str:
    words = {"old": shlex.quote(path.name), "new": shlex.quote(new), "name": path.name}
    for key, word in (words | {"stem": path.stem}).items():
        advice = advice.replace(f"{{{key}}}", word)
    return advice
