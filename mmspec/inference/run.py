"""A trained run as one thing: the model, what turns values into its inputs, the names it learnt."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from mmspec.compiler import driver, load
from mmspec.data import dataset, manifest, recipe, registry
from mmspec.data.dataset import Dataset, Known
from mmspec.data.faults import fault
from mmspec.data.source import Report, Source, silent
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.inference.generate import GREEDY, Sampling, Writer, Written, writing
from mmspec.inference.head import Answer, answering
from mmspec.schema.spec import Spec
from mmspec.train import checkpoint, evaluate, folder, record
from mmspec.train.data import EncodedFeed
from mmspec.train.device import check_device
from mmspec.train.evaluate import Table
from mmspec.train.feed import Inputs
from mmspec.train.record import Run

Row = Mapping[str, Any]
"""Values of a sample by the names of a manifest's columns."""
SPLITS: Final = ("held-out", "train", "all")
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the heads say of a row; a head that has nothing to read says nothing."""

    row: str
    """`birds.csv:12`, or `row 3` of rows that stand in no file."""
    answers: Mapping[str, Answer]
    """By head, in the order of the spec."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of a data set."""

    table: Table
    split: str
    """Which rows they are of: `held-out`, `train` or `all`."""
    rows: int


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run, ready to use: `model` is in evaluation mode, on the device that it was loaded to."""

    directory: Path
    model: nn.Module
    known: Known
    stored: Run
    """What `run.json` says."""

    @property
    def spec(self) -> Spec:
        """The spec that was trained."""
        return self.stored.spec

    @property
    def labels(self) -> dict[str, tuple[str, ...] | None]:
        """The names of the classes of each classifier, by id; None where the data had ids."""
        return {name: found.names for name, found in self.known.classes.items()}

    def encode(self, rows: str | os.PathLike[str] | Iterable[Row]) -> Iterator[Inputs]:
        """Batches of inputs of a manifest, or of rows: values, arrays, or paths of files.

        Raises MmspecError MM500 to MM514 with the row and the column.
        """
        yield from self._batches(self._encoded(self._source(rows)), _BATCH)

    def predict(
        self,
        rows: str | os.PathLike[str] | Iterable[Row],
        *,
        top: int = 5,
        tokens: int = 32,
        allow_outside: bool = False,
        report: Report = silent,
    ) -> list[Prediction]:
        """What each head says of each row that has any modality; columns of targets are not read.

        rows: the path of a manifest, or mappings of names to values (`{"text": "...", "image":
        "a.png"}`). top: how many classes, and retrieved rows, are named. tokens: how many a
        language-model head writes on. Raises MmspecError MM500 to MM514; MM619 where an output is
        not finite.
        """
        data = self._encoded(self._source(rows, allow_outside, report), report=report)
        names = [str(data.rows[int(at)]) for at in data.filled.nonzero()[0]]
        answers: list[dict[str, Answer]] = [{} for _ in names]
        with quietly():
            for name in self.spec.heads:
                say = answering(self, name, top, tokens)
                for at, answer in enumerate(say(lambda size: self._batches(data, size))):
                    if answer is not None:
                        answers[at][name] = answer
        return [Prediction(row, found) for row, found in zip(names, answers, strict=True)]

    def evaluate(
        self,
        data: str | os.PathLike[str],
        *,
        split: str | None = None,
        allow_outside: bool = False,
        report: Report = silent,
    ) -> Evaluation:
        """Figures over a data set, as after training.

        data: a built-in set or a manifest. split: `held-out`, `train` or `all`; None: held out of
        the data that the run was trained with and of whatever names a split, else all. Heads
        without a column are left out. Raises MmspecError MM500 to MM514, MM616, MM619.
        """
        source = registry.load(os.fspath(data), self.spec, allow_outside, report)
        judged = [name for name in dataset.learning(self.spec) if name in source.columns]
        found = self._encoded(source, judged, report)
        chosen = split or self._split(source, found)
        if chosen not in SPLITS:
            raise ValueError(f"split is one of {', '.join(SPLITS)}, not {chosen!r}")
        sides = {"held-out": found.held_out, "train": ~found.held_out}
        looked_at = replace(found, held_out=sides.get(chosen, np.ones_like(found.held_out)))
        count = int((looked_at.filled & looked_at.held_out).sum())
        if not count:
            raise fault("MM510", f"`{source.name}` has no rows {chosen}", "`all` takes every row")
        feed = EncodedFeed(looked_at, self.spec, self.stored.settings)
        table = evaluate.evaluate(self.model, self.spec, feed, evaluate.conditions(self.spec))
        if not any(head in self.spec.heads for row in table.values() for head in row):
            columns = ", ".join(dataset.learning(self.spec))
            message = f"`{source.name}` has no target of any head"
            raise MmspecError(Diagnostic("MM616", message, help=f"add a column: {columns}"))
        return Evaluation(table, chosen, count)

    def generate(
        self,
        prompt: str | list[int],
        *,
        tokens: int = 64,
        sampling: Sampling = GREEDY,
        stop: str | None = None,
        head: str | None = None,
        **others: Any,
    ) -> Written:
        """What a language-model head writes after a prompt.

        head: the one that writes, the first where there are several. others: values of the
        modalities that it reads besides. Raises MmspecError MM505 to MM507; MM621 where no head
        writes, or the prompt is empty or longer than the model reads.
        """
        writer = Writer(self, writing(self.spec, head), sampling, stop)
        with quietly():
            return writer.written(writer.ids(prompt, others, tokens))

    def one(self, row: Row) -> Inputs:
        """The inputs of one row, on the model's device."""
        (found,) = self._batches(self._encoded(self._source([row])), 1)
        return found

    def _source(
        self,
        rows: str | os.PathLike[str] | Iterable[Row],
        allow_outside: bool = False,
        report: Report = silent,
    ) -> Source:
        if isinstance(rows, str | os.PathLike):
            found = registry.load(os.fspath(rows), self.spec, allow_outside, report)
            return replace(found, held_out=np.ones(len(found.rows), bool))
        return manifest.given(rows, self.spec, Path())

    def _encoded(
        self, source: Source, judged: Iterable[str] = (), report: Report = silent
    ) -> Dataset:
        found = dataset.encode_known(source, self.spec, self.known, tuple(judged), report)
        if not found.filled.any():
            names = ", ".join(self.spec.modalities)
            raise fault("MM510", f"`{source.name}` has no row with a value", f"there is {names}")
        return found

    def _batches(self, data: Dataset, size: int) -> Iterator[Inputs]:
        device = next(self.model.parameters()).device
        feed = EncodedFeed(data, self.spec, self.stored.settings)
        for batch in feed.held_out(frozenset(self.spec.modalities), size):
            yield batch.to(device)

    def _split(self, source: Source, found: Dataset) -> str:
        """Which rows are looked at where nobody says."""
        is_own = found.fingerprint() == self.stored.content["data"]
        return "held-out" if is_own or source.has_split else "all"


@contextmanager
def quietly() -> Generator[None]:
    """Without gradients; the caller's random numbers go on as they were."""
    with torch.no_grad(), torch.random.fork_rng():
        yield


def load_run(path: str | os.PathLike[str], device: str = "cpu") -> LoadedRun:
    """A run's model with its weights of last, its encoders and its names.

    path: the folder of a run, or a file in it. Needs none of the data. Raises MmspecError MM613
    where the folder holds no run or a damaged one, MM617 where torch has no such device.
    """
    directory = Path(path)
    if directory.is_file() and (directory.parent / record.NAME).is_file():
        directory = directory.parent
    stored = record.read(directory, "`mmspec train` makes one")
    check_device(device)
    model = load.load(driver.emit(stored.spec))()
    weights = checkpoint.weights(directory)
    try:
        known = recipe.known(stored.spec, stored.content["inputs"], stored.content["outputs"])
        model.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200]
        raise folder.damaged(directory, f"does not fit the model: {what}") from None
    return LoadedRun(directory, model.eval().to(device), known, stored)
