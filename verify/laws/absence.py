"""P30: a modality that is absent changes nothing, however its absence is told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.verify.lab import lab, same
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.change import altered, resized, valid_kept
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Absence:
    """A case, and the optional modalities that no sample has."""

    case: Case
    absent: tuple[str, ...]

    def describe(self) -> str:
        """In words."""
        return f"{self.case.describe()}; without {', '.join(self.absent)}"


def _optional(subject: Subject) -> list[str]:
    return [name for name, modality in subject.spec.modalities.items() if modality.optional]


def _applies(subject: Subject) -> str | None:
    if not _optional(subject):
        return "no modality is optional"
    if len(subject.spec.modalities) == 1:
        return "the only modality cannot be absent"
    return None


@st.composite
def _absences(draw: st.DrawFn, subject: Subject) -> Absence:
    case = draw(cases(subject, absent=draw(st.sampled_from((False, False, True)))))
    optional = _optional(subject)
    most = min(len(optional), len(subject.spec.modalities) - 1)
    names = draw(st.sets(st.sampled_from(optional), min_size=1, max_size=most))
    return Absence(case, tuple(sorted(names)))


def _told(subject: Subject, batch: Inputs, absent: tuple[str, ...]) -> Inputs:
    """Absent by lengths of 0; the tensors stay, with other contents."""
    none = {name: torch.zeros_like(batch.lengths[name]) for name in absent}
    batch = replace(batch, lengths=batch.lengths | none)
    kept = valid_kept(subject.spec, batch)
    return altered(subject.spec, batch, kept, "plus 10000", hidden=True)


def _gone(subject: Subject, batch: Inputs, absent: tuple[str, ...]) -> Inputs:
    """Absent by None; targets of what it would predict have no token."""
    cut = resized(
        subject.spec,
        batch,
        {
            name: 0
            for name in absent
            if lab.padded(subject.spec, batch, name) and subject.spec.modalities[name].varies
        },
    )
    none: dict[str, Tensor | None] = dict.fromkeys(absent)
    lengths = {name: torch.zeros_like(batch.lengths[name]) for name in absent}
    return replace(cut, tensors=cut.tensors | none, lengths=batch.lengths | lengths)


def _run(subject: Subject, case: Case) -> tuple[same.Run, dict[str, Tensor]]:
    """A run, and the gradients of its loss by weight (0 where there is none)."""
    seen = lab.run(subject, case, gradients=True)
    parameters = dict(lab.model(subject, case).named_parameters())
    gradients = {name: torch.zeros_like(x) for name, x in parameters.items()}
    if seen.loss is not None and seen.loss.requires_grad:
        found = torch.autograd.grad(seen.loss, list(parameters.values()), allow_unused=True)
        pairs = zip(parameters, found, strict=True)
        gradients |= {name: value for name, value in pairs if value is not None}
    return same.Run(case, seen), gradients


def _check(subject: Subject, absence: Absence) -> None:
    case, names = absence.case, absence.absent
    left = [lengths for name, lengths in case.batch.lengths.items() if name not in names]
    if not bool(torch.stack(left).any(0).all()):
        raise Vacuous
    gone = case.with_batch(_gone(subject, case.batch, names))
    told = case.with_batch(_told(subject, case.batch, names))
    first, gradients = _run(subject, gone)
    same.check_finite(_values(first, gradients), "when modalities are absent")
    runs = {"left to the tensors": replace(gone, untold=frozenset(names)), "told by length 0": told}
    for how, other in runs.items():
        second, others = _run(subject, other)
        same.check(subject, first, second, when=f"absence {how} and not None")
        largest = max(float(gradient.abs().max()) for gradient in gradients.values())
        for name, gradient in gradients.items():
            wrong = difference(others[name], gradient, slack=1e-10 * largest)
            if wrong is not None:
                raise Broken(f"the gradient of `{name}` {wrong}, absence {how} and not None")


def _values(run: same.Run, gradients: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    seen = run.seen
    found = [(f"head `{name}`", value) for name, value in seen.heads.items()]
    found += [(f"loss `{name}`", value) for name, value in seen.losses.items()]
    found += [(f"auxiliary loss `{name}`", value) for name, value in seen.auxiliary.items()]
    return found + [(f"the gradient of `{name}`", value) for name, value in gradients.items()]


P30 = Law(
    "P30",
    "missing modality",
    "an absent modality leaves outputs and gradients finite, and alike however absence is told",
    tried(_check, _absences, costs=2),
    _applies,
)
