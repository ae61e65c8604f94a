"""How a run shows that it goes on: a bar on a terminal, a line every few seconds in a pipe."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mmspec.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress

    from mmspec.train.evaluate import Table
    from mmspec.train.feed import Feed
    from mmspec.train.loop import Listener
    from mmspec.train.metrics import Row

_PAUSE: Final = 5.0
_MEMORY: Final = 0.95


class Silent:
    """Says nothing but notes."""

    def started(self, parameters: int, feed: Feed, step: int) -> None:
        """Nothing."""

    def stepped(self, row: Row, total: int | None) -> None:
        """Nothing."""

    def evaluated(self, step: int, table: Table) -> None:
        """Nothing."""

    def noted(self, message: str) -> None:
        """One line on stderr."""
        output.note(message)


class Lines(Silent):
    """A line every few seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loss = Smoothed()
        self._last = time.monotonic()

    def started(self, parameters: int, feed: Feed, step: int) -> None:
        """What is trained on what."""
        after = f", on from step {step}" if step else ""
        data = f"{feed.train_size:,} samples, {feed.held_out_size:,} held out"
        self.noted(f"training {self.name}: {parameters:,} parameters, {data}{after}")

    def stepped(self, row: Row, total: int | None) -> None:
        """The step, its loss and rate, once in a while."""
        self.loss.add(row["loss"])
        if time.monotonic() - self._last < _PAUSE and row["step"] != total:
            return
        self._last = time.monotonic()
        of = f" of {total}" if total else ""
        self.noted(f"step {row['step']}{of}  loss {self.loss}  lr {row['lr']:.2e}")

    def evaluated(self, step: int, table: Table) -> None:
        """The first row of the table."""
        from mmspec.cli import figures

        self.noted(f"step {step}  held out: {figures.line(table)}")


class Bar(Lines):
    """A bar with the step, the loss, the rate and the time left."""

    def __init__(self, name: str, bar: Progress) -> None:
        super().__init__(name)
        self._bar = bar
        self._task = bar.add_task(name, total=None, loss="the first step", rate="")

    def stepped(self, row: Row, total: int | None) -> None:
        """Move the bar."""
        self.loss.add(row["loss"])
        self._bar.update(
            self._task,
            completed=row["step"],
            total=total,
            loss=f"loss {self.loss}",
            rate=f"lr {row['lr']:.1e}",
        )

    def noted(self, message: str) -> None:
        """One line above the bar."""
        self._bar.console.print(message, markup=False, highlight=False)


class Smoothed:
    """A running mean of a loss, for people to read."""

    def __init__(self) -> None:
        self._sum, self._weight = 0.0, 0.0

    def add(self, value: float) -> None:
        """Take in a step's loss."""
        self._sum = _MEMORY * self._sum + value
        self._weight = _MEMORY * self._weight + 1

    def __str__(self) -> str:
        return f"{self._sum / self._weight:.3f}"


@contextmanager
def listener(name: str, quiet: bool, terminal: bool) -> Generator[Listener]:
    """The listener that fits: silent, a bar on a terminal, or lines."""
    if quiet or not terminal:
        yield Silent() if quiet else Lines(name)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    from mmspec.cli import console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[rate]}"),
        Left(),
    )
    with Progress(*columns, console=console.stderr(), expand=True) as bar:
        yield Bar(name, bar)
