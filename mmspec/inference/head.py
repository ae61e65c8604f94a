"""What each kind of head answers, in the names of the data; one class a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmspec.inference.generate import Writer
from mmspec.schema import head as heads
from mmspec.train.data import supplied
from mmspec.train.feed import Inputs
from mmspec.train.scores import check_finite, present

if TYPE_CHECKING:
    from mmspec.inference.run import LoadedRun

Batches = Callable[[int], Iterator[Inputs]]
"""The samples in order, so many at a time."""
_BATCH: Final = 64
_GALLERY: Final = 256


class Answer(Protocol):
    """What a head says of a sample."""

    def plain(self) -> Any:
        """As plain data."""
        ...

    def cells(self) -> Mapping[str, str | float]:
        """What a table shows of it, by what stands behind the head's name there."""
        ...

    def rows(self) -> Sequence[tuple[str, float | str]]:
        """All that is known of it: what is named, and how likely or near it is."""
        ...


@dataclass(frozen=True, slots=True)
class Class:
    """The likeliest class, and the probabilities of the likeliest few, the first before others."""

    name: str | int
    """An id where the data had ids."""
    probabilities: Mapping[str | int, float]

    def plain(self) -> dict[str, Any]:
        """`class`, and `probabilities` by class."""
        return {"class": self.name, "probabilities": dict(self.probabilities)}

    def cells(self) -> dict[str, str | float]:
        """The class and its probability."""
        return {"": str(self.name), "probability": self.probabilities[self.name]}

    def rows(self) -> list[tuple[str, float | str]]:
        """The classes and their probabilities."""
        return [(str(name), share) for name, share in self.probabilities.items()]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a regressor says."""

    values: tuple[float, ...]

    def plain(self) -> float | list[float]:
        """A number; a list where there are several."""
        return self.values[0] if len(self.values) == 1 else list(self.values)

    def cells(self) -> dict[str, str | float]:
        """A number a column."""
        if len(self.values) == 1:
            return {"": self.values[0]}
        return {str(at): value for at, value in enumerate(self.values)}

    def rows(self) -> list[tuple[str, float | str]]:
        """A number a line."""
        return [*self.cells().items()]


@dataclass(frozen=True, slots=True)
class Continuation:
    """The likeliest tokens after those of the sample, one by one."""

    ids: tuple[int, ...]
    text: str | None
    """None where tokens are ids that stand for nothing known."""

    def plain(self) -> str | list[int]:
        """Text, or ids."""
        return list(self.ids) if self.text is None else self.text

    def cells(self) -> dict[str, str | float]:
        """The text, or the ids with blanks between them."""
        return {"": " ".join(map(str, self.ids)) if self.text is None else self.text}

    def rows(self) -> list[tuple[str, float | str]]:
        """The text."""
        return [*self.cells().items()]


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows whose other side is nearest to this row's first side, the nearest before others."""

    nearest: tuple[tuple[str, float], ...]
    """Names of rows, each with its similarity (the cosine divided by the temperature)."""

    def plain(self) -> list[dict[str, Any]]:
        """The rows and their similarities."""
        return [{"row": row, "similarity": value} for row, value in self.nearest]

    def cells(self) -> dict[str, str | float]:
        """The nearest."""
        return {"": self.nearest[0][0], "similarity": self.nearest[0][1]}

    def rows(self) -> list[tuple[str, float | str]]:
        """The rows and their similarities."""
        return [*self.nearest]


def answering(
    run: LoadedRun, name: str, top: int, tokens: int
) -> Callable[[Batches], Iterator[Answer | None]]:
    """What a head answers: from batches to an answer a sample, None where it has nothing to read.

    Raises MM619 where an output is not finite.
    """
    head = run.spec.heads[name]
    if isinstance(head, heads.Classifier):
        return lambda batches: _classes(run, name, top, batches)
    if isinstance(head, heads.Regressor):
        return lambda batches: _numbers(run, name, batches)
    if isinstance(head, heads.LanguageModel):
        return lambda batches: _continuations(Writer(run, name), tokens, batches)
    return lambda batches: _matches(run, name, top, batches)


def _outputs(run: LoadedRun, name: str, batches: Batches) -> Iterator[Tensor]:
    """A head's output of each sample, on a CPU."""
    for inputs in batches(_BATCH):
        output: Any = run.model(**inputs.modalities, lengths=inputs.lengths)
        found: Tensor = getattr(output.heads, name)
        check_finite(name, found, inputs)
        yield from found.float().cpu()


def _classes(run: LoadedRun, name: str, top: int, batches: Batches) -> Iterator[Class]:
    labels = run.known.classes[name].names
    for logits_c in _outputs(run, name, batches):
        count = len(logits_c if labels is None else labels)
        share_c = logits_c[:count].softmax(0)  # a class that no row had has no name
        best = share_c.topk(min(max(top, 1), count))
        names = [at if labels is None else labels[at] for at in best.indices.tolist()]
        yield Class(names[0], dict(zip(names, best.values.tolist(), strict=True)))


def _numbers(run: LoadedRun, name: str, batches: Batches) -> Iterator[Numbers]:
    for output_o in _outputs(run, name, batches):
        yield Numbers(tuple(output_o.tolist()))


def _continuations(writer: Writer, tokens: int, batches: Batches) -> Iterator[Continuation | None]:
    for inputs in batches(1):
        written = writer.written(writer.following(inputs, tokens))
        yield Continuation(written.ids, written.text) if written.ids else None


def _matches(run: LoadedRun, name: str, top: int, batches: Batches) -> Iterator[Matches | None]:
    """Each sample's first side against every other side, whatever their number."""
    parts = list(batches(_GALLERY // 2))
    names = [row for part in parts for row in part.rows]
    sides = supplied(run.spec, name)
    has_first, has_second = (
        torch.cat([present(side, part, len(part.rows)) for part in parts]) for side in sides
    )
    if not has_second.any():
        yield from (None for _ in names)
        return
    at = 0
    for part in parts:
        logits_bn = torch.cat([_crossed(run, name, part, other) for other in parts], 1)
        logits_bn = logits_bn.masked_fill(~has_second, -torch.inf)
        for row_n in logits_bn:
            best = row_n.topk(min(max(top, 1), int(has_second.sum())))
            found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            hits = tuple((names[index], value) for index, value in found)
            yield Matches(hits) if has_first[at] else None
            at += 1


def _crossed(run: LoadedRun, name: str, part: Inputs, other: Inputs) -> Tensor:
    """Similarities of the first sides of some samples to the second sides of others."""
    both = part if part is other else _joined(part, other)
    output: Any = run.model(**both.modalities, lengths=both.lengths)
    logits: Tensor = getattr(output.heads, name).float().cpu()
    count = len(part.rows)
    found = logits[:count, : len(other.rows)] if part is other else logits[:count, count:]
    check_finite(name, found, part)
    return found


def _joined(part: Inputs, other: Inputs) -> Inputs:
    """Samples of two batches in one."""
    modalities = {name: _stacked(x, other.modalities[name]) for name, x in part.modalities.items()}
    lengths = {name: torch.cat((part.lengths[name], other.lengths[name])) for name in part.lengths}
    return Inputs(modalities, lengths, {}, (*part.rows, *other.rows))


def _stacked(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Two batches of values, the shorter sequences filled up with zeros."""
    if first is None or second is None:
        return None
    return pad_sequence([*first, *second], batch_first=True)
