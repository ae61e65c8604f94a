"""The training loop: a step is a pure function of the state before it, so a run can be resumed."""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import nn

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec
from mmspec.train import checkpoint, record, schedule
from mmspec.train.evaluate import ALL, Table, conditions, evaluate
from mmspec.train.feed import Feed
from mmspec.train.metrics import Metrics, Row
from mmspec.train.settings import Settings

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


@dataclass(slots=True)
class _State:
    """All that changes from step to step, beside the files."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    total: int | None = None
    seconds: float = 0.0
    saved: float = field(default_factory=time.monotonic)
    saving: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "total": self.total,
            "seconds": self.seconds,
            "random": checkpoint.random_states(),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Go back to what a checkpoint holds."""
        self.model.load_state_dict(stored["model"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.step, self.total = stored["step"], stored["total"]
        self.seconds = stored["seconds"]
        checkpoint.restore_random(stored["random"])


@dataclass(frozen=True, slots=True)
class Job:
    """A model class, its spec, its data and the settings, ready to be trained."""

    model: type[nn.Module]
    spec: Spec
    feed: Feed
    settings: Settings


def train(job: Job, listener: Listener, resume: bool = False) -> Outcome:
    """Train, evaluate on the held-out split and write the weights.

    Raises MmspecError: MM610 to MM617, or MM603 where the folder cannot be written.
    """
    directory = Path(job.settings.out)
    with record.locked(directory), _repeatable(job.settings), _stop_on_interrupt() as stop:
        spec_text = dump(job.spec)
        digest = hashlib.sha256(spec_text.encode()).hexdigest()
        mine = record.identity(job.settings, digest, job.feed.fingerprint)
        if resume:
            record.resume(directory, mine, job.settings, spec_text)
        else:
            record.begin(directory, mine, spec_text)
        state = _state(job, directory if resume else None)
        with Metrics(directory, state.step) as metrics:
            if not metrics.has_tensorboard:
                listener.noted("no event files: tensorboard is not installed")
            listener.started(_parameters(state.model), job.feed, state.step)
            _steps(job, state, metrics, listener, stop)
            return _finish(job, state, metrics, listener)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _state(job: Job, resumed: Path | None) -> _State:
    """A fresh state, or that of the checkpoint in a folder."""
    settings = job.settings
    torch.manual_seed(settings.seed)
    model = job.model().to(torch.device(settings.device))
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    state = _State(model, torch.optim.AdamW(groups, lr=settings.lr))
    if settings.seconds is None:
        state.total = settings.last_step
    stored = checkpoint.load(resumed) if resumed else None
    if stored is not None:
        state.restore(stored)
    return state


def _steps(
    job: Job, state: _State, metrics: Metrics, listener: Listener, stop: threading.Event
) -> None:
    """Take steps until the last one, or until asked to stop."""
    settings = job.settings
    state.model.train()
    while (state.total is None or state.step < state.total) and not stop.is_set():
        start = _clock(settings)
        row = _step(job, state)
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
    return time.process_time() if settings.device == "cpu" else time.perf_counter()


def _plan_total(settings: Settings, state: _State) -> bool:
    """Fix the number of steps, once, when a budget of seconds is all that was given.

    Whether it was fixed now: later rates follow from it, so a resumed run must know it.
    """
    if state.total is not None or settings.seconds is None:
        return False
    warmup = settings.warmup_steps
    state.total = schedule.steps_for(settings.seconds, state.step, state.seconds, warmup)
    return state.total is not None


def _step(job: Job, state: _State) -> Row:
    """One step of the optimiser; its figures. Raises MM614 before anything is spoilt."""
    settings, step = job.settings, state.step + 1
    inputs = job.feed.batch(step).to(torch.device(settings.device))
    output: Any = state.model(**inputs.modalities, lengths=inputs.lengths, targets=inputs.targets)
    if output.loss is None:
        message = "no head of the spec has a target in the data"
        raise MmspecError(Diagnostic("MM616", message, help="name a column like the head"))
    row: Row = {"step": step, "loss": float(output.loss.detach())}
    row |= {key: _numbers(getattr(output, key)) for key in ("losses", "auxiliary")}
    state.optimiser.zero_grad(set_to_none=True)
    output.loss.backward()
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip)
    row["grad_norm"] = float(norm)
    _check_finite(row, job.settings, state)
    row["lr"] = schedule.rate(step, settings.lr, settings.warmup_steps, state.total)
    for group in state.optimiser.param_groups:
        group["lr"] = row["lr"]
    state.optimiser.step()
    state.step = step
    return row


def _numbers(parts: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in parts.items()}


def _check_finite(row: Row, settings: Settings, state: _State) -> None:
    if math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"]):
        return
    parts: dict[str, float] = {
        "loss": row["loss"],
        "grad_norm": row["grad_norm"],
        **row["losses"],
        **row["auxiliary"],
    }
    bad = ", ".join(
        f"{name} = {value}" for name, value in parts.items() if not math.isfinite(value)
    )
    kept = Path(settings.out) / checkpoint.NAME
    advice = "lower --lr or --clip, or lengthen --warmup"
    where = f"; {kept} is the last good checkpoint" if kept.exists() else ""
    raise MmspecError(Diagnostic("MM614", f"step {row['step']}: {bad}{where}", help=advice))


def _is_due(settings: Settings, state: _State) -> bool:
    """Time to save: every `save_every` steps, else now and then, seldom enough to cost little."""
    if settings.save_every:
        return state.step % settings.save_every == 0
    pause = max(_SAVE_SECONDS, _SAVE_SHARE * state.saving)
    return time.monotonic() - state.saved >= pause


def _save(directory: Path, state: _State, metrics: Metrics) -> None:
    start = time.monotonic()
    metrics.sync()
    checkpoint.save(directory, state.as_dict())
    state.saved = time.monotonic()
    state.saving = state.saved - start


def _report(
    job: Job,
    state: _State,
    metrics: Metrics,
    listener: Listener,
    present: dict[str, frozenset[str]],
) -> Table:
    table = evaluate(state.model, job.spec, job.feed, present)
    metrics.evaluation({"step": state.step, **table})
    listener.evaluated(state.step, table)
    return table


def _finish(job: Job, state: _State, metrics: Metrics, listener: Listener) -> Outcome:
    """The last evaluation and the weights, unless the run was interrupted before its end."""
    directory, count = Path(job.settings.out), _parameters(state.model)
    if state.total is None or state.step < state.total:
        return Outcome(directory, state.step, state.seconds, count, None, {}, interrupted=True)
    table = _report(job, state, metrics, listener, conditions(job.spec))
    weights = checkpoint.save_weights(state.model, directory)
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
