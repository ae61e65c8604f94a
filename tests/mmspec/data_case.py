"""Specs and sources for the tests of the data, a few rows each."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmspec import text
from mmspec.data.source import Source
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate

KINDS = {
    "text": "{kind: tokens, vocab: 256, length: {max: 5}, optional: true}",
    "image": "{kind: image, size: [4, 8], channels: 3, patch: 4, optional: true}",
    "clip": "{kind: video, size: [4, 6], patch: 2, rate: 25 Hz, length: {max: 3}, optional: true}",
    "audio": "{kind: audio, features: 13, rate: 100 Hz, length: {max: 7}, optional: true}",
    "motion": "{kind: series, features: 3, rate: 50 Hz, length: {max: 11}, optional: true}",
    "facts": "{kind: table, columns: {age: number, side: {categories: 2}}, optional: true}",
}
"""A modality of each kind."""

LABEL = "label: {from: joint, kind: classifier, classes: 3}"


def spec(
    *names: str, head: str = LABEL, required: bool = False, other: Mapping[str, str] | None = None
) -> Spec:
    """A spec with some of the modalities above (or others) and one head."""
    chosen = {name: KINDS[name] for name in names} | dict(other or {})
    lines = [f"  {name}: {kind}" for name, kind in chosen.items()]
    modalities = "\n".join(lines).replace("true", "false" if required else "true")
    streams = f"  joint: {{from: [{', '.join(chosen)}], depth: 1, width: 8, heads: 2}}"
    return validate(
        text.parse(
            f"mmspec: 1\nname: case\nmodalities:\n{modalities}\nstreams:\n{streams}\n"
            f"heads:\n  {head}\n"
        )
    )


def source(held_out: Sequence[int] = (1,), **columns: Sequence[Any]) -> Source:
    """A source of these columns; the last rows of `held_out` are 1 where they are held out."""
    total = len(next(iter(columns.values())))
    mask = np.zeros(total, bool)
    mask[total - len(held_out) :] = held_out
    return Source("made", columns, mask, [f"made {i}" for i in range(total)], "0")


def ends(cell: Any) -> str:
    """What a file's name is, unless that says to end the process; for workers, by name."""
    if "kill" in str(cell):
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in str(cell):
        os._exit(7)
    return str(cell)


def slow(seconds: Any) -> float:
    """The seconds, once they are over; for workers, by name."""
    time.sleep(float(seconds))
    return float(seconds)


def named(cell: Any) -> Path:
    """The file that a cell names; for workers, by name."""
    return Path(str(cell))
