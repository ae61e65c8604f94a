"""Two runs that must agree where they speak of the same samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.schema.check import token_segment
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case
from mmspec.verify.lab.compare import difference
from mmspec.verify.outcome import Broken
from mmspec.verify.subject import Subject

_WHOLE = ("load",)
"""Statistics of the batch, not of its samples."""


@dataclass(frozen=True, slots=True)
class Run:
    """A case and what the model made of it."""

    case: Case
    seen: lab.Seen


def of(subject: Subject, case: Case) -> Run:
    """Run a case."""
    return Run(case, lab.run(subject, case))


def check(
    subject: Subject, first: Run, second: Run, rows: Sequence[int] | None = None, when: str = ""
) -> None:
    """Raise Broken unless sample j of the second run equals sample `rows[j]` of the first.

    rows None: all samples, and what belongs to the batch as a whole (losses, loads) as well.
    """
    whole = rows is None
    kept = list(range(first.case.batch.batch)) if rows is None else list(rows)
    for stream in lab.wiring(subject).order:
        before = lab.tokens(subject, first.case, first.seen.streams, stream)
        after = lab.tokens(subject, second.case, second.seen.streams, stream)
        for row, mine in zip(kept, after, strict=True):
            _same(
                f"sample {row} of stream `{stream}`", mine, before[row], ("streams", stream), when
            )
    for name in subject.spec.heads:
        _check_head(subject, first, second, (name, kept, when))
    for name, value in first.seen.statistics.items():
        stream, _, what = name.partition(".")
        if what in _WHOLE and not whole:
            continue
        theirs = value if what in _WHOLE else value[kept]
        found = second.seen.statistics.get(name, torch.empty(0))
        _same(f"statistic `{name}`", found, theirs, ("streams", stream), when)
    if whole:
        _check_losses(first.seen, second.seen, when)


def _check_head(
    subject: Subject, first: Run, second: Run, about: tuple[str, list[int], str]
) -> None:
    name, kept, when = about
    head, before, after = subject.spec.heads[name], first.seen.heads[name], second.seen.heads[name]
    segment = token_segment(subject.spec, lab.wiring(subject), head)
    if head.matches:
        before = before[kept][:, kept]
    elif segment is not None:
        counts = lab.counted(subject.spec, first.case.batch, segment)
        pairs = [
            (before[row, : counts[row]], after[j, : counts[row]]) for j, row in enumerate(kept)
        ]
        before, after = (torch.cat(list(side)) for side in zip(*pairs, strict=True))
    else:
        before = before[kept]
    _same(f"head `{name}`", after, before, ("heads", name), when)


def _check_losses(first: lab.Seen, second: lab.Seen, when: str) -> None:
    for name, value in first.losses.items():
        _same(f"loss `{name}`", second.losses[name], value, ("heads", name), when)
    for name, value in first.auxiliary.items():
        stream = name.partition(".")[0]
        _same(f"auxiliary loss `{name}`", second.auxiliary[name], value, ("streams", stream), when)
    if first.loss is not None and second.loss is not None:
        _same("the loss", second.loss, first.loss, ("heads",), when)


def _same(what: str, found: Tensor, expected: Tensor, where: tuple[str, ...], when: str) -> None:
    wrong = difference(found, expected)
    if wrong is not None:
        raise Broken(f"{what} {wrong}{when and f', {when}'}", where)


def check_finite(values: Iterable[tuple[str, Tensor]], when: str) -> None:
    """Raise Broken at the first value that is NaN or infinite."""
    for name, value in values:
        if not bool(torch.isfinite(value).all()):
            raise Broken(f"{name} is not finite, {when}")
