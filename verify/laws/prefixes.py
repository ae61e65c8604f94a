"""P6: what does not depend on the end of a sequence is the same without that end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import FEW, Case, cases
from mmspec.verify.lab.change import resized
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.reach import reach
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.reference.modality import longest, segment_count, step
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Cut:
    """A case, the modality that is cut, and what is left of it: tokens."""

    case: Case
    modality: str
    left: int

    def describe(self) -> str:
        """In words."""
        tokens = "1 token" if self.left == 1 else f"{self.left} tokens"
        return f"{self.case.describe()}; {self.modality} cut to {tokens}"


def sequences(subject: Subject) -> list[str]:
    """Modalities of varying length with room for a cut that something does not depend on."""
    spec, case = subject.spec, _longest(subject)
    found = reach(subject, case, 0)
    names = []
    for name, modality in spec.modalities.items():
        if not isinstance(modality, modalities.Varying):
            continue
        for stream in spec.streams:
            relation = found.of(stream, name)
            if relation.any() and relation.shape[1] > 1 and not relation[:, -1].all():
                names.append(name)
                break
    return names


def _longest(subject: Subject) -> Case:
    """A training case of one sample with sequences of up to `FEW` tokens; no contents."""
    raw = {}
    for name, modality in subject.spec.modalities.items():
        frames, each = step(modality)
        raw[name] = torch.tensor([min(longest(modality), -(-FEW // each) * frames)])
    return Case(Inputs({}, raw, {}, 1, "zeros", 0), "train")


def _applies(subject: Subject) -> str | None:
    if sequences(subject):
        return None
    return "every token of every stream may depend on the last token of every sequence"


@st.composite
def _cuts(draw: st.DrawFn, subject: Subject, names: list[str]) -> Cut:
    case = draw(cases(subject, ragged=draw(st.sampled_from((True, False)))))
    name = draw(st.sampled_from(names))
    _, each = step(subject.spec.modalities[name])
    most = lab.padded(subject.spec, case.batch, name) // each - 1
    return Cut(case, name, draw(st.integers((most + 1) // 2, most)) * each if most > 0 else 0)


def _independent(subject: Subject, cut: Cut, stream: str, sample: int) -> Tensor:
    """Which valid tokens are left by the cut, and do not depend on what it removes: bool [n]."""
    found = reach(subject, cut.case, sample)
    relation = found.of(stream, cut.modality)
    if not relation.any():
        return torch.zeros(len(relation), dtype=torch.bool)
    return ~relation[:, cut.left :].any(1)


def _left(subject: Subject, cut: Cut, stream: str, sample: int) -> Tensor:
    """Which valid tokens of a stream are still there after the cut: bool [n]."""
    pieces = [torch.zeros(0, dtype=torch.bool)]
    for segment in lab.wiring(subject).segments[stream]:
        count = segment_count(subject.spec, segment, cut.case.batch.raw(sample))
        limit = cut.left if segment.modality == cut.modality else count
        pieces.append(torch.arange(count) < limit)
    return torch.cat(pieces)


def _check(subject: Subject, cut: Cut) -> None:
    if not cut.left:
        raise Vacuous
    modality = subject.spec.modalities[cut.modality]
    raw, each = step(modality)
    shorter = resized(subject.spec, cut.case.batch, {cut.modality: cut.left // each * raw})
    case = replace(cut.case, untold=frozenset())
    before, after = lab.run(subject, case), lab.run(subject, case.with_batch(shorter))
    asked = 0
    for stream in lab.wiring(subject).order:
        olds = lab.tokens(subject, case, before.streams, stream)
        news = lab.tokens(subject, case.with_batch(shorter), after.streams, stream)
        for sample, (old, new) in enumerate(zip(olds, news, strict=True)):
            free, left = (
                _independent(subject, cut, stream, sample),
                _left(subject, cut, stream, sample),
            )
            asked += int((free & left).sum())
            wrong = difference(new[free[left]], old[free & left])
            if wrong is not None:
                said = f"sample {sample} of stream `{stream}` {wrong} (token, feature) when tokens"
                raise Broken(
                    f"{said} are cut that it does not see", ("streams", stream, "attention")
                )
    if not asked:
        raise Vacuous


P6 = Law(
    "P6",
    "prefix invariance",
    "a token that does not depend on the end of a sequence is the same without that end",
    tried(_check, lambda subject: _cuts(subject, sequences(subject))),
    _applies,
)
