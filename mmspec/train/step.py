"""One step of the optimiser, of one batch or of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.train import checkpoint, schedule
from mmspec.train.job import Job
from mmspec.train.metrics import Row
from mmspec.train.settings import Settings
from mmspec.train.state import State


def taken(job: Job, state: State) -> Row:
    """Take a step; its figures, of several batches their mean.

    The batches of step s are those of a run of smaller steps, s * n - n + 1 to s * n of n each.
    Raises MM614 before anything is spoilt.
    """
    settings, step = job.settings, state.step + 1
    state.optimiser.zero_grad(set_to_none=True)
    first = (step - 1) * settings.accumulate + 1
    rows = [_learned(job, state.model, first + at) for at in range(settings.accumulate)]
    row: Row = {"step": step, **_mean(rows)}
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip)
    row["grad_norm"] = float(norm)
    _check_finite(row, job.settings)
    row["lr"] = schedule.rate(step, settings.lr, settings.warmup_steps, state.total)
    for group in state.optimiser.param_groups:
        group["lr"] = row["lr"]
    state.optimiser.step()
    state.step = step
    return row


def _learned(job: Job, model: nn.Module, batch: int) -> dict[str, Any]:
    """Add the gradient of a batch's part of the loss; its losses."""
    settings = job.settings
    device = torch.device(settings.device)
    inputs = job.feed.batch(batch).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        output: Any = model(**inputs.modalities, lengths=inputs.lengths, targets=inputs.targets)
    if output.loss is None:
        message = "no head of the spec has a target in the data"
        raise MmspecError(Diagnostic("MM616", message, help="name a column like the head"))
    share = output.loss / settings.accumulate if settings.accumulate > 1 else output.loss
    share.backward()
    parts = {key: _numbers(getattr(output, key)) for key in ("losses", "auxiliary")}
    return {"loss": float(output.loss.detach()), **parts}


def _numbers(parts: Mapping[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in parts.items()}


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Losses over batches; a head that some batches have no target of counts where it has one."""
    if len(rows) == 1:
        return rows[0]
    found: dict[str, Any] = {"loss": _average(row["loss"] for row in rows)}
    for key in ("losses", "auxiliary"):
        names = dict.fromkeys(name for row in rows for name in row[key])
        found[key] = {
            name: _average(row[key][name] for row in rows if name in row[key]) for name in names
        }
    return found


def _average(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


def _check_finite(row: Row, settings: Settings) -> None:
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
