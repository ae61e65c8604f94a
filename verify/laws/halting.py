"""P41 and P42: halting probabilities sum to 1, and what has halted is computed no further."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmspec.schema.halting import Halts, Stepping
from mmspec.verify.lab import lab, same
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.subject import Subject

SUM = 1e-12


def _halts(subject: Subject) -> dict[str, Halts]:
    return {name: s.halting for name, s in subject.spec.streams.items() if s.halting}


def _stepping(subject: Subject) -> dict[str, Stepping]:
    """Those whose steps have probabilities."""
    return {name: rule for name, rule in _halts(subject).items() if isinstance(rule, Stepping)}


def _statistic(seen: lab.Seen, name: str) -> Tensor:
    if name not in seen.statistics:
        stream = name.partition(".")[0]
        raise Broken(f"there is no statistic `{name}`", ("streams", stream, "halting"))
    return seen.statistics[name]


def _simplex(subject: Subject, case: Case) -> None:
    seen = lab.run(subject, case, targets=False)
    for name, rule in _stepping(subject).items():
        p, steps = _statistic(seen, f"{name}.halting"), _statistic(seen, f"{name}.steps")
        wrong = _wrong(p, steps, rule, case)
        if wrong:
            raise Broken(f"halting of `{name}`: {wrong}", ("streams", name, "halting"))


def _wrong(p: Tensor, steps: Tensor, rule: Stepping, case: Case) -> str | None:
    """Why p [B, N] are no halting probabilities for these steps [B]; None where they are."""
    if p.shape != (case.batch.batch, rule.at_most):
        return f"probabilities of shape {list(p.shape)}"
    if not bool((p >= 0).all()):
        return f"a probability is {float(p.min()):.9g}"
    error = (p.sum(1) - 1).abs()
    if float(error.max()) > SUM:
        sample = int(error.argmax())
        return f"the probabilities of sample {sample} sum to {float(p[sample].sum()):.12g}"
    numbers = torch.arange(1, rule.at_most + 1, dtype=torch.float64)
    if case.mode == "train" and rule.training == "mean":
        wrong = (steps - (p * numbers).sum(1)).abs() > 1e-9
        return (
            f"sample {int(wrong.nonzero()[0])}: steps are not their mean" if wrong.any() else None
        )
    ran = numbers <= steps[:, None]
    if not bool(((steps >= 1) & (steps <= rule.at_most)).all()) or (p[~ran] != 0).any():
        return "a step that was not run has a probability"
    before = torch.where(numbers < steps[:, None], p, 0.0).sum(1)
    late = before >= rule.threshold
    if late.any():
        sample = int(late.nonzero()[0])
        return f"sample {sample} goes on after {float(before[sample]):.9g} of its probability"
    return None


def _frozen(subject: Subject, case: Case) -> None:
    """Blocks see exactly the samples that have not halted, and those left alone end alike."""
    seen, rows = _counted(subject, case)
    expected = lab.reference(subject, case).statistics
    stopped = False
    for name, rule in _halts(subject).items():
        config = subject.spec.streams[name]
        depths = expected[f"{name}.{rule.counted}"]
        stopped |= bool((depths < rule.leaves(config.depth)[-1]).any())
        for i in range(config.depth):
            wanted = [int((depths >= step).sum()) for step in rule.runs(i)]
            wanted = [count for count in wanted if count]
            if rows[name, i] != wanted:
                _blame(name, i, rows[name, i], wanted)
        _alone(subject, case, seen, depths)
    if not stopped:
        raise Vacuous


def _blame(stream: str, block: int, found: list[int], wanted: list[int]) -> None:
    raise Broken(
        f"block {block} of `{stream}` computes {found or 'no'} samples, call by call, where "
        f"{wanted or 'none'} still run",
        ("streams", stream, "halting"),
    )


def _alone(subject: Subject, case: Case, seen: lab.Seen, depths: Tensor) -> None:
    """The samples that halt first give the same without those that go on."""
    first = (depths == depths.min()).nonzero()[:, 0].tolist()
    if len(first) == case.batch.batch:
        return
    some = case.with_batch(case.batch.select(first))
    second = same.of(subject, some)
    same.check(subject, same.Run(case, seen), second, rows=first, when="without samples that go on")


def _counted(subject: Subject, case: Case) -> tuple[lab.Seen, dict[tuple[str, int], list[int]]]:
    """A run, and the samples that each block computed, call by call."""
    made, rows = lab.model(subject, case), defaultdict[tuple[str, int], list[int]](list)
    with ExitStack() as stack:
        for name in _halts(subject):
            for i in range(subject.spec.streams[name].depth):

                def count(_module: Any, given: Any, _out: Any, key: Any = (name, i)) -> None:
                    rows[key].append(int(given[0].shape[0]))

                block = lab.part(made, f"{name}_stream.blocks.{i}")
                stack.callback(block.register_forward_hook(count).remove)
        seen = lab.run(subject, case, targets=False)
    return seen, rows


P41 = Law(
    "P41",
    "halting simplex",
    "halting probabilities are not negative and sum to 1, the last step taking the remainder",
    tried(_simplex, cases),
    lambda subject: None if _stepping(subject) else "no stream halts between steps",
)
P42 = Law(
    "P42",
    "freeze",
    "in evaluation a sample that has halted is computed no further and stays as it is",
    tried(_frozen, partial(cases, modes=("eval",), batch=(2, 4), soft=False)),
    lambda subject: None if _halts(subject) else "no stream halts",
)
