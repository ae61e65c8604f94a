"""The training loop: a step is a pure function of the state before it, so a run can be resumed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import nn

from mmspec.train import checkpoint, initial, record, schedule, step, way
from mmspec.train.evaluate import ALL, Table, conditions, evaluate
from mmspec.train.feed import Feed
from mmspec.train.job import Job
from mmspec.train.metrics import Metrics, Row
from mmspec.train.settings import Settings
from mmspec.train.state import State, fresh, last_step, stored, take_up

_SAVE_SECONDS: Final = 15.0
_SAVE_SHARE: Final = 20
"""Saving takes at most one part in so many of the time."""


class Listener(Protocol):
    """Who is told how a run goes."""

    def started(self, parameters: int, feed: Feed, step: int) -> None:
        """Training begins, or goes on after `step`."""
        ...

    def stepped(self, row: Row, total: int | None) -> None:
        """One step was taken, of so many (None: not known yet)."""
        ...

    def evaluated(self, step: int, table: Table) -> None:
        """The held-out split was evaluated."""
        ...

    def noted(self, message: str) -> None:
        """Something worth a line."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: at which step, after how many seconds of training, with what figures."""

    directory: Path
    step: int
    seconds: float
    parameters: int
    weights: Path | None
    table: Table
    interrupted: bool


def train(job: Job, listener: Listener, resume: bool = False) -> Outcome:
    """Train, evaluate on the held-out split and write the weights.

    Raises MmspecError: MM610 to MM617 and MM619, or MM603 where the folder cannot be written.
    """
    directory = Path(job.settings.out)
    look = _continued if resume else _begun
    with (
        record.locked(directory, partial(look, job)) as start,
        _repeatable(job.settings),
        _stop_on_interrupt() as stop,
        _measuring(directory, start, resume) as metrics,
        way.taken(start.attention) as hindrance,
    ):
        job, state = start.job, start.state
        if start.is_new:
            _save(directory, state, metrics)
        record.write(directory, start.content, job.spec)
        for note in filter(None, (*start.notes, hindrance)):
            listener.noted(note)
        if not metrics.has_tensorboard:
            listener.noted("no event files: tensorboard is not installed")
        listener.started(_parameters(state.model), job.feed, state.step)
        _steps(job, state, metrics, listener, stop)
        return _finish(job, state, metrics, listener)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a run begins or goes on, before anything is written."""

    job: Job
    state: State
    content: dict[str, Any]
    """Of run.json."""
    rows: tuple[bytes, bytes] = (b"", b"")
    """What was measured before, of both files."""
    is_new: bool = True
    """Whether no checkpoint says so yet."""
    attention: way.Way | None = None
    """The way that it takes, where that was chosen before."""
    notes: tuple[str, ...] = ()
    """What may make numbers differ from those of a run that was never stopped."""


def _measuring(directory: Path, start: _Start, resume: bool) -> Metrics:
    """The files of metrics, before which a new folder says what its run is.

    Whatever then keeps the run from going on, it can be resumed. One that is resumed for longer
    says so first in its checkpoint.
    """
    if not resume:
        record.write(directory, start.content, start.job.spec)
    return Metrics(directory, start.state.step, start.rows)


def _begun(job: Job, directory: Path) -> _Start:
    """A run at its first step; raises MM611 where the folder is not free."""
    record.check_free(directory)
    job = replace(job, settings=job.settings.settled())
    content = record.described(job.settings, job.spec, job.feed)
    state = fresh(job.model, job.settings)
    told = initial.taken(state.model, job.spec, job.settings.init)
    return _Start(job, state, content, notes=told)


def _continued(job: Job, directory: Path) -> _Start:
    """A run where it was; raises MM612 where it is another run, MM613 where it is damaged."""
    run = record.read(directory)
    job = replace(job, settings=record.resumed(run, job.settings, job.spec, job.feed))
    content = run.content | {"settings": job.settings.settled().stored()}
    state, found = fresh(job.model, job.settings), stored(directory)
    if found is None:
        return _Start(job, state, content, notes=record.changes(run))
    rows, attention = take_up(state, found, directory)
    planned, state.total = state.total, last_step(state, run.settings, job.settings)
    is_new = state.total != planned
    return _Start(job, state, content, rows, is_new, attention, record.changes(run))


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _steps(
    job: Job, state: State, metrics: Metrics, listener: Listener, stop: threading.Event
) -> None:
    """Take steps until the last one, or until asked to stop."""
    settings = job.settings
    state.model.train()
    while (state.total is None or state.step < state.total) and not stop.is_set():
        start = _clock(settings)
        row = step.taken(job, state)
        state.seconds += _clock(settings) - start
        row["seconds"] = round(state.seconds, 4)
        planned = _plan_total(settings, state)
        metrics.step(row)
        listener.stepped(row, state.total)
        is_last = state.step == state.total
        if settings.eval_every and state.step % settings.eval_every == 0 and not is_last:
            _report(job, state, metrics, listener, {ALL: frozenset(job.spec.modalities)})
        if planned or _is_due(settings, state):
            _save(Path(settings.out), state, metrics)
    _save(Path(settings.out), state, metrics)


def _clock(settings: Settings) -> float:
    """CPU seconds, which a busy machine does not stretch; wall seconds on a device."""
    is_cpu = torch.device(settings.device).type == "cpu"
    return time.process_time() if is_cpu else time.perf_counter()


def _plan_total(settings: Settings, state: State) -> bool:
    """Fix the number of steps, once, when a budget of seconds is all that was given.

    Whether it was fixed now: later rates follow from it, so a resumed run must know it.
    """
    if state.total is not None or settings.seconds is None:
        return False
    warmup = settings.warmup_steps
    state.total = schedule.steps_for(settings.seconds, state.step, state.seconds, warmup)
    return state.total is not None


def _is_due(settings: Settings, state: State) -> bool:
    """Time to save: every `save_every` steps, else now and then, seldom enough to cost little."""
    if settings.save_every:
        return state.step % settings.save_every == 0
    pause = max(_SAVE_SECONDS, _SAVE_SHARE * state.saving)
    return time.monotonic() - state.saved >= pause


def _save(directory: Path, state: State, metrics: Metrics) -> None:
    start = time.monotonic()
    metrics.sync()
    checkpoint.save(directory, state.as_dict(metrics.position()))
    state.saved = time.monotonic()
    state.saving = state.saved - start


def _report(
    job: Job,
    state: State,
    metrics: Metrics,
    listener: Listener,
    present: dict[str, frozenset[str]],
) -> Table:
    table = evaluate(state.model, job.spec, job.feed, present)
    metrics.evaluation({"step": state.step, **table})
    listener.evaluated(state.step, table)
    return table


def _finish(job: Job, state: State, metrics: Metrics, listener: Listener) -> Outcome:
    """The last evaluation and the weights, unless the run was interrupted before its end."""
    directory, count = Path(job.settings.out), _parameters(state.model)
    if state.total is None or state.step < state.total:
        return Outcome(directory, state.step, state.seconds, count, None, {}, interrupted=True)
    table = _report(job, state, metrics, listener, conditions(job.spec))
    _save(directory, state, metrics)
    weights = checkpoint.save_weights(state.model, job.spec, directory)
    return Outcome(directory, state.step, state.seconds, count, weights, table, interrupted=False)


@contextmanager
def _repeatable(settings: Settings) -> Generator[None]:
    """Fixed threads and deterministic algorithms while a run lasts."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


@contextmanager
def _stop_on_interrupt() -> Generator[threading.Event]:
    """The first Ctrl-C ends the run after the step under way; a second one at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
