"""A small model written by hand and data made from the step, to train without the compiler.

As a script, `training_job.py DIR STEPS [resume]`, it trains with a checkpoint every 5 steps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmspec import text
from mmspec.data.encode.table import Codes
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.train import loop
from mmspec.train.evaluate import Table
from mmspec.train.feed import Feed, Inputs
from mmspec.train.job import Job
from mmspec.train.metrics import Row
from mmspec.train.settings import Settings

SPEC = """
mmspec: 1
name: toy
modalities:
  sound: {kind: series, features: 3, rate: 10 Hz, length: {max: 5}, optional: true}
  row: {kind: table, columns: {x: number, y: number}, optional: true}
streams:
  joint: {from: [sound, row], depth: 1, width: 8, heads: 2}
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""
CLASSES = 3


def spec() -> Spec:
    """The spec that the model below stands for."""
    return validate(text.parse(SPEC))


class Heads(NamedTuple):
    """Outputs by head."""

    label: Tensor


class Output(NamedTuple):
    """What a compiled model returns."""

    heads: Heads
    loss: Tensor | None
    losses: dict[str, Tensor]
    auxiliary: dict[str, Tensor]
    statistics: dict[str, Tensor]


class Toy(nn.Module):
    """Means of both modalities, a hidden layer with dropout, three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(5, 16)
        self.output = nn.Linear(16, CLASSES)

    def forward(
        self,
        sound: Tensor | None = None,
        row: Tensor | None = None,
        lengths: dict[str, Tensor] | None = None,
        targets: dict[str, Tensor] | None = None,
    ) -> Output:
        """The same call as a compiled model's."""
        given = sound if sound is not None else row
        assert given is not None
        batch = given.shape[0]
        sound_bf = sound.mean(1) if sound is not None else torch.zeros(batch, 3)
        row_bc = row if row is not None else torch.zeros(batch, 2)
        x_bd = functional.dropout(
            torch.relu(self.hidden(torch.cat([sound_bf, row_bc], 1))), 0.3, self.training
        )
        logits_bc = self.output(x_bd)
        if not targets:
            return Output(Heads(logits_bc), None, {}, {}, {})
        loss = functional.cross_entropy(logits_bc, targets["label"])
        penalty = 0.01 * x_bd.square().mean()
        parts = {"label": loss}
        return Output(Heads(logits_bc), loss + penalty, parts, {"joint.size": penalty}, {})


class Made:
    """Samples whose class is where the largest of three numbers stands."""

    fingerprint = "made"
    train_size = 640
    held_out_size = 60

    def __init__(self) -> None:
        self.classes: Mapping[str, tuple[str, ...]] = {"label": ("first", "second", "third")}
        self.categories: Mapping[str, Codes] = {}

    def batch(self, step: int) -> Inputs:
        """16 samples, from the step alone."""
        return self._samples(step, 16, frozenset({"sound", "row"}))

    def held_out(self, present: frozenset[str], size: int) -> Iterator[Inputs]:
        """60 samples that no step sees."""
        for start in range(0, self.held_out_size, size):
            count = min(size, self.held_out_size - start)
            yield self._samples(10**6 + start, count, present)

    def _samples(self, seed: int, count: int, present: frozenset[str]) -> Inputs:
        source = torch.Generator().manual_seed(seed)
        label = torch.randint(CLASSES, (count,), generator=source)
        sound = 0.1 * torch.randn(count, 5, 3, generator=source)
        sound = sound + functional.one_hot(label, CLASSES)[:, None]
        row = torch.randn(count, 2, generator=source)
        tensors = {"sound": sound, "row": row}
        kept = {name: x if name in present else None for name, x in tensors.items()}
        return Inputs(kept, {}, {"label": label})


class Quiet:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.tables: list[Table] = []
        self.notes: list[str] = []

    def started(self, parameters: int, feed: Feed, step: int) -> None:
        """Nothing."""

    def stepped(self, row: Row, total: int | None) -> None:
        """Keep the row."""
        self.rows.append(row)

    def evaluated(self, step: int, table: Table) -> None:
        """Keep the table."""
        self.tables.append(table)

    def noted(self, message: str) -> None:
        """Keep the message."""
        self.notes.append(message)


def settings(out: Path, **given: object) -> Settings:
    """Settings of a short run."""
    values: dict[str, object] = {"steps": 40, "save_every": 5, "lr": 0.01} | given
    return Settings(spec="toy", data="made", out=str(out), **values)  # type: ignore[arg-type]


def main() -> None:
    """Train as a process of its own, which a test can kill."""
    out, steps, *rest = sys.argv[1:]
    job = Job(Toy, spec(), Made(), settings(Path(out), steps=int(steps)))
    loop.train(job, Quiet(), resume=rest == ["resume"])


if __name__ == "__main__":
    main()
