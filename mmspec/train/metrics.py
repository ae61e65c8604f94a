"""What a run measures: JSON lines always, TensorBoard events where tensorboard is installed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from mmspec.train import checkpoint, events

STEPS = "metrics.jsonl"
EVALUATIONS = "evaluation.jsonl"
Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """The rows of a file of JSON lines; a last line cut short by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def truncate(path: Path, step: int) -> None:
    """Keep the rows up to a step: the later ones will be measured again."""
    if path.exists():
        kept = [row for row in read(path) if row["step"] <= step]
        checkpoint.write(path, "".join(_line(row) for row in kept).encode())


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


class Metrics:
    """Appends rows to a run's files; a context manager that closes them."""

    def __init__(self, directory: Path, step: int) -> None:
        """Continue after `step` (0: from the beginning)."""
        self._paths = [directory / STEPS, directory / EVALUATIONS]
        for path in self._paths:
            truncate(path, step)
        self._steps, self._evaluations = (path.open("a", encoding="utf-8") for path in self._paths)
        self._evaluated = {row["step"] for row in read(self._paths[1])}
        self._board = events.board(directory)
        self.has_tensorboard = self._board is not None
        if self.has_tensorboard:
            self._continue_events(directory, step)

    def _continue_events(self, directory: Path, step: int) -> None:
        """Let the event files hold what the other files hold: no step twice, none missing.

        All of a step but an evaluation after it was written before that step's checkpoint.
        """
        last = [row for row in read(self._paths[0]) if row["step"] == step]
        tags = {name for row in last for name, _ in _scalars(row)}
        events.filter_files(directory, lambda at, tag: at < step or (at == step and tag in tags))
        for row in read(self._paths[1]):
            if row["step"] == step:
                self._show(row)

    def step(self, row: Row) -> None:
        """One training step: `step` and numbers, or dicts of numbers."""
        self._write(self._steps, row)

    def evaluation(self, row: Row) -> None:
        """One evaluation: `step` and, for each condition, metrics by name; once a step."""
        if row["step"] not in self._evaluated:
            self._evaluated.add(row["step"])
            self._write(self._evaluations, row)

    def _write(self, file: Any, row: Row) -> None:
        file.write(_line(row))
        file.flush()
        self._show(row)

    def _show(self, row: Row) -> None:
        if self._board is not None:
            for name, value in _scalars(row):
                self._board.add_scalar(name, value, row["step"])

    def sync(self) -> None:
        """Make what was written so far survive a power cut."""
        for file in (self._steps, self._evaluations):
            os.fsync(file.fileno())
        if self._board is not None:
            self._board.flush()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._steps.close()
        self._evaluations.close()
        if self._board is not None:
            self._board.close()


def _scalars(row: Row, prefix: str = "") -> list[tuple[str, float]]:
    """Every number of a row under its path, `losses/label`."""
    found: list[tuple[str, float]] = []
    for key, value in row.items():
        if isinstance(value, dict):
            found += _scalars(value, f"{prefix}{key}/".replace(" ", "_"))
        elif isinstance(value, int | float) and key != "step":
            found.append((f"{prefix}{key}", float(value)))
    return found
