"""P13 and P14: neither padding nor the rest of the batch changes a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from mmspec.schema import modality as modalities
from mmspec.schema.spec import Spec
from mmspec.verify.lab import same
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.change import AMOUNTS, altered, resized, valid_kept
from mmspec.verify.lab.search import tried
from mmspec.verify.law import Law
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Padding:
    """A case, the raw sizes that sequences are padded to, and what the padding holds."""

    case: Case
    sizes: dict[str, int]
    amount: str

    def describe(self) -> str:
        """In words."""
        sizes = ", ".join(f"{name} to {size}" for name, size in self.sizes.items())
        padded = f"padded anew ({sizes}), " if sizes else ""
        return f"{self.case.describe()}; {padded}paddings made {self.amount}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A case, and the samples that are run again, in their new order."""

    case: Case
    rows: tuple[int, ...]

    def describe(self) -> str:
        """In words."""
        return f"{self.case.describe()}; samples {', '.join(map(str, self.rows))} run again"


@st.composite
def _paddings(draw: st.DrawFn, subject: Subject) -> Padding:
    case = draw(cases(subject))
    sizes = {}
    for name, modality in subject.spec.modalities.items():
        if case.batch.tensors[name] is None:
            continue
        if isinstance(modality, modalities.Varying):
            least = max(1, int(case.batch.lengths[name].max()))
            sizes[name] = draw(st.integers(least, min(modality.length.max, least + 7)))
    return Padding(case, sizes, draw(st.sampled_from(AMOUNTS)))


def _repadded(spec: Spec, padding: Padding) -> Inputs:
    batch = resized(spec, padding.case.batch, padding.sizes)
    return altered(spec, batch, valid_kept(spec, batch), padding.amount, hidden=True)


def _padded(subject: Subject, padding: Padding) -> None:
    case = replace(padding.case, untold=frozenset())
    other = case.with_batch(_repadded(subject.spec, padding))
    same.check(subject, same.of(subject, case), same.of(subject, other), when="padded anew")


def _batched(subject: Subject, choice: Choice) -> None:
    case = replace(choice.case, untold=frozenset())
    some = case.with_batch(case.batch.select(choice.rows))
    first, second = same.of(subject, case), same.of(subject, some)
    same.check(subject, first, second, rows=choice.rows, when="in another batch")


@st.composite
def _choices(draw: st.DrawFn, subject: Subject) -> Choice:
    case = draw(cases(subject, batch=(2, 4)))
    samples = st.integers(0, case.batch.batch - 1)
    return Choice(case, tuple(draw(st.lists(samples, min_size=1, max_size=3))))


P13 = Law(
    "P13",
    "padding invariance",
    "neither the amount nor the content of padding changes a valid token, an output or a loss",
    tried(_padded, _paddings),
)
P14 = Law(
    "P14",
    "batch independence",
    "a sample gives the same alone, in any batch and in any order",
    tried(_batched, _choices),
)
