"""All that changes from step to step of a run, and how it is taken up again."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.train import checkpoint, folder, metrics, schedule, way
from mmspec.train.settings import Settings

_UNFIT: Final = (KeyError, TypeError, ValueError, RuntimeError, AttributeError, LookupError)
"""What torch and Python raise where a state is not that of a model."""


@dataclass(slots=True)
class State:
    """All that changes from step to step, beside the files."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    total: int | None = None
    seconds: float = 0.0
    saved: float = field(default_factory=time.monotonic)
    saving: float = 0.0

    def as_dict(self, position: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds; position: how far the files of metrics had come."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict()["state"],
            "step": self.step,
            "total": self.total,
            "seconds": self.seconds,
            "random": checkpoint.random_states(),
            "metrics": position,
            "attention": way.used(),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Go back to what a checkpoint holds; raises ValueError, or what torch raises."""
        self.model.load_state_dict(stored["model"])
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": stored["optimiser"], "param_groups": groups})
        for parameter, moments in self.optimiser.state.items():
            shapes = [moments[name].shape for name in ("exp_avg", "exp_avg_sq")]
            if shapes != [parameter.shape] * 2 or not moments["step"] >= 0:
                raise ValueError("the optimiser's moments are of another shape")
        self.step, self.total, self.seconds = (
            stored[name] for name in ("step", "total", "seconds")
        )
        if self.step and not self.optimiser.state:
            raise ValueError(f"no moments after step {self.step!r}")
        if not _is_count(self.step) or not (self.total is None or _is_count(self.total)):
            raise ValueError(f"step {self.step!r} of {self.total!r}")
        if not isinstance(self.seconds, float) or not 0 <= self.seconds < math.inf:
            raise ValueError(f"{self.seconds!r} seconds")
        checkpoint.restore_random(stored["random"])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def fresh(model_class: type[nn.Module], settings: Settings) -> State:
    """The state before the first step."""
    torch.manual_seed(settings.seed)
    model = model_class().to(torch.device(settings.device))
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    state = State(model, torch.optim.AdamW(groups, lr=settings.lr, fused=True))
    if settings.seconds is None:
        state.total = settings.last_step
    return state


def stored(directory: Path) -> dict[str, Any] | None:
    """What the checkpoint of a run holds; None where it was killed before the first.

    Raises MM613 where it is missing or damaged, or a file of the run is none.
    """
    if os.path.lexists(directory / checkpoint.WEIGHTS):
        folder.opened(directory / checkpoint.WEIGHTS).close()
    found = checkpoint.load(directory)
    rows = directory / metrics.STEPS
    if found is None and os.path.lexists(rows) and folder.content(rows):
        raise folder.damaged(directory / checkpoint.NAME, "is missing, though steps were taken")
    return found


def take_up(
    state: State, found: dict[str, Any], directory: Path
) -> tuple[tuple[bytes, bytes], way.Way | None]:
    """Set a fresh state to what a checkpoint holds.

    Gives the rows of metrics before it, of both files, and the way that attention took.

    Raises MM613 where it does not fit the model, or the files of metrics do not fit it.
    """
    path = directory / checkpoint.NAME
    try:
        state.restore(found)
        positions = dict(found["metrics"])
        attention = way.read(found["attention"])
    except _UNFIT as error:
        what = " ".join(str(error).split())[:200]
        raise folder.damaged(path, f"does not fit the model: {what}") from None
    steps, evaluations = (
        metrics.known(directory / name, positions.get(name))
        for name in (metrics.STEPS, metrics.EVALUATIONS)
    )
    if steps.count(b"\n") != state.step:
        raise folder.damaged(path, f"is of step {state.step}, and {metrics.STEPS} of another")
    return (steps, evaluations), attention


def last_step(state: State, before: Settings, now: Settings) -> int | None:
    """Where a run that is taken up ends; None: not known yet.

    before: the settings that it was begun with, or last taken up with; now: those that may end it
    later. Raises MM612 where so many steps are fewer than a run by seconds has planned.
    """
    if now.seconds is None:
        least = max(state.total or 0, state.step) if before.seconds is not None else 0
        if now.last_step < least:
            text = f"{now.out}: steps: {now.last_step} here, and the run plans {least}"
            raise MmspecError(Diagnostic("MM612", text))
        return now.last_step
    if now.seconds == before.seconds:
        return state.total
    return schedule.steps_for(now.seconds, state.step, state.seconds, now.warmup_steps)
