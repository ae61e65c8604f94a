"""What a run measures: JSON lines always, TensorBoard events where tensorboard is installed."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mmspec.train import events, folder

STEPS = "metrics.jsonl"
EVALUATIONS = "evaluation.jsonl"
Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """The rows of a file of JSON lines; a last line cut short by a kill is left out."""
    return _rows(path.read_bytes()) if path.exists() else []


def _rows(content: bytes) -> list[Row]:
    return [json.loads(line) for line in content.split(b"\n")[:-1] if line]


class File:
    """A file of JSON lines that is added to, and how far it is to be trusted."""

    def __init__(self, path: Path, known: bytes) -> None:
        """known: what it begins with; what stands behind that will be measured again."""
        if not path.exists() or path.stat().st_size != len(known):
            folder.write(path, known)
        self._path, self._size, self._digest = path, len(known), hashlib.sha256(known)
        self._file = path.open("ab")

    def add(self, row: Row) -> None:
        """One line at the end; raises MM603 where there is no room for all of it."""
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with folder.adding(self._path, self._file):
            self._file.write(line)
            self._file.flush()
        self._size += len(line)
        self._digest.update(line)

    def sync(self) -> None:
        """Make it survive a power cut."""
        with folder.adding(self._path, self._file):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines."""
        self._file.close()

    def position(self) -> dict[str, Any]:
        """How long it is, and the digest of that: what a checkpoint remembers of it."""
        return {"bytes": self._size, "sha256": self._digest.hexdigest()}


def known(path: Path, position: object) -> bytes:
    """What a checkpoint remembers of a file; raises MM613 where the file does not hold it."""
    size = position.get("bytes") if isinstance(position, dict) else None
    if not isinstance(position, dict) or not isinstance(size, int) or size < 0:
        raise folder.damaged(path, "is not mentioned in the checkpoint")
    if not size and not path.exists():
        return b""
    with folder.opened(path) as file:
        content = file.read(size) if size <= os.fstat(file.fileno()).st_size else b""
    if len(content) != size or hashlib.sha256(content).hexdigest() != position.get("sha256"):
        raise folder.damaged(path, "is damaged, or was edited: the checkpoint knows other rows")
    return content


class Metrics:
    """Appends rows to a run's files; a context manager that closes them."""

    def __init__(
        self, directory: Path, step: int, before: tuple[bytes, bytes] = (b"", b"")
    ) -> None:
        """Continue after `step` (0: from the beginning) and the rows before it, of both files."""
        self._steps, self._evaluations = (
            File(directory / name, content)
            for name, content in zip((STEPS, EVALUATIONS), before, strict=True)
        )
        self._evaluated = {row["step"] for row in _rows(before[1])}
        self.has_tensorboard = events.is_there()
        self._board: events.Board | None = None
        if self.has_tensorboard:
            self._continue_events(directory, step, before)

    def _continue_events(self, directory: Path, step: int, before: tuple[bytes, bytes]) -> None:
        """Let the event files hold what the other files hold: no step twice, none missing.

        All of a step but an evaluation after it was written before that step's checkpoint.
        """
        last = before[0][before[0].rstrip(b"\n").rfind(b"\n") + 1 :]
        tags = {name for row in _rows(last) for name, _ in _scalars(row)}
        whole = events.filter_files(
            directory, lambda at, tag: at < step or (at == step and tag in tags)
        )
        self._board = events.Board(directory)
        for row in [] if whole else _rows(before[0]):
            self._show(row)
        for row in _rows(before[1]):
            if row["step"] == step or not whole:
                self._show(row)

    def step(self, row: Row) -> None:
        """One training step: `step` and numbers, or dicts of numbers."""
        self._steps.add(row)
        self._show(row)

    def evaluation(self, row: Row) -> None:
        """One evaluation: `step` and, for each condition, metrics by name; once a step."""
        if row["step"] not in self._evaluated:
            self._evaluated.add(row["step"])
            self._evaluations.add(row)
            self._show(row)

    def _show(self, row: Row) -> None:
        if self._board is not None:
            self._board.add(_scalars(row), row["step"])

    def sync(self) -> None:
        """Make what was written so far survive a power cut."""
        self._steps.sync()
        self._evaluations.sync()
        if self._board is not None:
            self._board.flush()

    def position(self) -> dict[str, Any]:
        """What a checkpoint remembers of both files."""
        return {STEPS: self._steps.position(), EVALUATIONS: self._evaluations.position()}

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        closing = [self._steps.close, self._evaluations.close]
        if self._board is not None:
            closing.append(self._board.close)
        for close in closing:
            with suppress(OSError):  # what found no room was told when it was written
                close()


def _scalars(row: Row, prefix: str = "") -> list[tuple[str, float]]:
    """Every number of a row under its path, `losses/label`."""
    found: list[tuple[str, float]] = []
    for key, value in row.items():
        if isinstance(value, dict):
            found += _scalars(value, f"{prefix}{key}/".replace(" ", "_"))
        elif isinstance(value, int | float) and key != "step":
            found.append((f"{prefix}{key}", float(value)))
    return found
