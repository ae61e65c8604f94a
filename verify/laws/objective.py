"""P51: a language model is trained on what its rows do not see."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.schema.check import token_segment
from mmspec.schema.head import LanguageModel
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.compare import moved
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.subject import Subject

_TRIED = 8
"""Rows of an example whose target is changed among the inputs."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A case, the head in question, and which of the rows that carry a loss are tried."""

    case: Case
    head: str
    first: int

    def describe(self) -> str:
        """In words."""
        return f"{self.case.describe()}; head `{self.head}`, from row {self.first} that carries"


def _heads(subject: Subject) -> list[str]:
    return [name for name in subject.spec.heads if subject.spec.loss_of(name) == "next-token"]


def _applies(subject: Subject) -> str | None:
    return None if _heads(subject) else "no head predicts the next token"


@st.composite
def _rows(draw: st.DrawFn, subject: Subject) -> Rows:
    case = draw(cases(subject, ragged=draw(st.sampled_from((True, False, False)))))
    return Rows(case, draw(st.sampled_from(_heads(subject))), draw(st.integers(0, 16)))


def _check(subject: Subject, rows: Rows) -> None:
    head, case = subject.spec.heads[rows.head], rows.case
    assert isinstance(head, LanguageModel)
    segment = token_segment(subject.spec, lab.wiring(subject), head) or ""
    modality, ids = subject.spec.modalities[segment], case.batch.tensors[segment]
    assert isinstance(modality, modalities.Tokens)
    seen = lab.run(subject, case, gradients=True)
    if rows.head not in seen.losses or ids is None or modality.vocab < 2:
        raise Vacuous
    logits = seen.heads[rows.head]
    places = _carrying(seen.losses[rows.head], logits)
    if not places:
        raise Vacuous
    for sample, t in (places[rows.first % len(places) :] + places)[:_TRIED]:
        if t + 1 >= ids.shape[1]:
            raise Broken(f"row {t} of {ids.shape[1]} carries a loss", ("heads", rows.head))
        other = ids.clone()
        other[sample, t + 1] = (ids[sample, t + 1] + 1) % modality.vocab
        tensors = case.batch.tensors | {segment: other}
        changed = case.with_batch(replace(case.batch, tensors=tensors))
        after = lab.run(subject, changed, targets=False).heads[rows.head]
        how = moved(logits[sample, t].detach(), after[sample, t])
        if how is not None:
            what = f"row {t} of sample {sample} is trained on token {t + 1} and {how} with it"
            raise Broken(what, ("heads", rows.head))


def _carrying(loss: Tensor, logits: Tensor) -> list[tuple[int, int]]:
    """Samples and rows whose logits the loss depends on."""
    if not loss.requires_grad:
        return []
    (gradient,) = torch.autograd.grad(loss, logits)
    return [(b, t) for b, t in gradient.abs().amax(2).nonzero().tolist()]


P51 = Law(
    "P51",
    "loss alignment",
    "no row of a language model sees the token that it is trained to predict",
    tried(_check, _rows),
    _applies,
)
