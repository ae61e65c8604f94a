"""A column's rows encoded: few of them here, many by workers, and kept in a file for next time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from mmspec.data import store, workers
from mmspec.data.arrays import Array, Keep, Kept, Part
from mmspec.data.faults import Faults, fault, placed
from mmspec.data.source import Opened, Raw, Report
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.version import __version__

Encoder = Callable[[Raw], Any]
_FILES: Final = 2000
_BYTES: Final = 16 << 20
_ENCODED: Final = 64 << 20
"""From so many files, bytes in them or bytes encoded on, a column is large."""
_ROWS: Final = 32
_PIECE: Final = 8 << 20
"""Rows, and bytes of their files, that a worker is given at a time."""
_READERS: Final = ("numpy", "pillow", "soundfile")


@dataclass(frozen=True, slots=True)
class Task:
    """How the rows of a column are encoded, and why one without a value is wrong.

    `absent` is empty where it is not wrong.
    """

    name: str
    encode: Encoder
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a column's files are like, unopened: their sizes, and a name for what they become."""

    name: str
    sizes: Array
    """int64 [N], 0 where a row has no file."""
    encoded: int
    """About how many bytes the rows become, where that is known without opening a file."""
    is_certain: bool
    """Whether every file was found, so that the name changes with what they hold."""

    @property
    def is_shared(self) -> bool:
        """Whether there is enough to read for several processes."""
        return int((self.sizes > 0).sum()) >= _FILES or int(self.sizes.sum()) >= _BYTES

    @property
    def is_large(self) -> bool:
        """Whether what the rows become is kept in a file."""
        return self.is_shared or self.encoded >= _ENCODED


def survey(values: Opened, about: str, each: int) -> Survey:
    """Look at every file of a column; `about` is what else decides, `each` a row's encoded size."""
    found = hashlib.blake2b(f"{_code()} {values.about} {about}".encode(), digest_size=20)
    sizes, encoded, is_certain = np.zeros(len(values), np.int64), each * len(values), True
    for index, cell in enumerate(values.cells):
        path = values.path(cell)
        text = json.dumps(cell, default=str)
        state = None
        if path is not None:
            with suppress(OSError, ValueError):
                state = os.stat(path)
        elif isinstance(cell, str):
            encoded += 8 * len(cell)
        if state is not None:
            sizes[index] = state.st_size
            text += f" {state.st_dev} {state.st_ino} {state.st_size}"
            text += f" {state.st_mtime_ns} {state.st_ctime_ns}"
        is_certain &= path is None or state is not None
        found.update(text.encode("utf-8", "surrogatepass") + b"\n")
    return Survey(found.hexdigest(), sizes, encoded, is_certain)


@lru_cache(maxsize=1)
def _code() -> str:
    """What changes when files are read or encoded in another way."""
    here = Path(__file__).parent
    states = [(path.name, path.stat()) for path in sorted(here.rglob("*.py"))]
    found = [__version__, *(f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in states)]
    for package in _READERS:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return " ".join(found)


def keeper(name: str, seen: Survey, again: Callable[[], Survey], report: Report) -> Keep:
    """Where a column goes: to memory, or, where it is large, to a file that is found next time."""
    tell = partial(report, f"checking what is kept of {name}, in MB")

    def keep(parts: Iterable[Part]) -> list[Kept]:
        def is_same() -> bool:
            return seen.is_certain and again().name == seen.name

        found = store.found(seen.name, tell) if seen.is_certain else None
        return found or store.kept(seen.name, parts, is_same)

    return keep if seen.is_large else store.spooled


def encoded(
    task: Task,
    values: Sequence[Raw],
    rows: Sequence[str],
    faults: Faults,
    report: Report,
    seen: Survey | None = None,
) -> Iterator[Any]:
    """Every row encoded, None where there is no value; raises MmspecError with what is wrong."""
    done = 0
    with _team(seen) as work:
        for items, problems in work(_pieces(task, values, rows, seen)):
            faults.extend(problems)
            done += len(items)
            report(f"reading {task.name}", done, len(rows))
            yield from items
    faults.check()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows of a column."""

    task: Task
    values: Sequence[Raw]
    rows: Sequence[str]


_Done = tuple[list[Any], list[Diagnostic]]


def _pieces(
    task: Task, values: Sequence[Raw], rows: Sequence[str], seen: Survey | None
) -> Iterator[_Piece]:
    """The rows, some at a time: few of large files."""
    start = 0
    while start < len(rows):
        stop = min(start + _ROWS, len(rows))
        if seen is not None:
            fits = np.searchsorted(np.cumsum(seen.sizes[start:stop]), _PIECE)
            stop = min(stop, start + max(1, int(fits)))
        yield _Piece(task, values[start:stop], rows[start:stop])
        start = stop


@contextmanager
def _team(seen: Survey | None) -> Generator[Callable[[Iterable[_Piece]], Iterator[_Done]]]:
    """What does the work: this process, or several others."""
    size = workers.count() if seen is not None and seen.is_shared else 0
    if not size:
        yield lambda pieces: map(_work, pieces)
        return
    try:
        crew = workers.Crew(size)
    except OSError:  # no room for another process
        yield lambda pieces: map(_work, pieces)
        return
    with closing(crew):
        yield lambda pieces: _shared(crew, pieces)


def _shared(crew: workers.Crew, pieces: Iterable[_Piece]) -> Iterator[_Done]:
    """The pieces done by others; the row that ends a process is told as others are."""
    for piece, done in crew.map(_work, pieces):
        if not isinstance(done, workers.Ended):
            yield done
        elif len(piece.rows) > 1:
            ones = range(len(piece.rows))
            cut = (slice(one, one + 1) for one in ones)
            yield from _shared(
                crew, (_Piece(piece.task, piece.values[c], piece.rows[c]) for c in cut)
            )
        else:
            yield [None], _fatal(piece, done)


def _fatal(piece: _Piece, ended: workers.Ended) -> list[Diagnostic]:
    assert isinstance(piece.values, Opened), piece
    path = piece.values.path(piece.values.cells[0])
    message = f"`{path}` ends the process that reads it ({ended.how})"
    error = fault("MM501", message, "convert or replace the file")
    return placed(error, piece.rows[0], piece.task.name)


def _work(piece: _Piece) -> _Done:
    """The rows of a piece encoded, and what is wrong with them; no more once that is too much."""
    faults, found = Faults(), list[Any]()
    with suppress(MmspecError):
        for index, row in enumerate(piece.rows):
            found.append(None)
            with faults.at(row, piece.task.name):
                found[index] = _one(piece.task, piece.values, index)
    return found, faults.found


def _one(task: Task, values: Sequence[Raw], index: int) -> Any:
    raw = values[index]
    found = None if raw is None else task.encode(raw)
    if task.absent and (found is None or np.size(found) == 0):
        state = "has no value" if raw is None else "is empty"
        raise fault("MM504", f"`{task.name}` {state}", task.absent)
    return found
