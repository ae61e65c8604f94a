"""The inputs of laws: a batch, the mode, the weights, and which lengths the model is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from hypothesis import strategies as st
from torch import Tensor

from mmspec.expressions import mask as masks
from mmspec.schema import modality as modalities
from mmspec.schema.spec import Spec
from mmspec.verify.law import Search
from mmspec.verify.reference.modality import step
from mmspec.verify.reference.model import Mode
from mmspec.verify.reference.packing import spec_masks
from mmspec.verify.strategies import Inputs, contents, inputs
from mmspec.verify.subject import Subject

LARGE = 5_000_000
"""Parameters above which a model is tried on fewer inputs, with one choice of weights."""
FEW, MANY = 12, 128
"""Tokens that most examples hold at most, and any."""
SHARPS = (1.0, 6.0, 20.0, -6.0, 6.0, 20.0)
"""Factors on the weights that decide when to halt; 1 comes first."""
CONTENTS = ("gaussian",) * 6 + tuple(name for name in contents.LAWS if name != "gaussian")
"""Laws of contents, the first of them half of the time."""
MODES: tuple[Mode, ...] = ("eval", "train")


@dataclass(frozen=True, slots=True)
class Case:
    """A batch and how it is run; `untold`: modalities whose lengths are left to the tensors.

    sharp: a factor on the weights that decide when to halt (not 1: a ponder is also more eager).
    """

    batch: Inputs
    mode: Mode = "eval"
    seed: int = 0
    untold: frozenset[str] = frozenset()
    sharp: float = 1.0

    def describe(self) -> str:
        """In words."""
        parts = [self.batch.describe(), {"eval": "evaluation", "train": "training"}[self.mode]]
        if not self.batch.targets:
            parts.append("no targets")
        if self.untold:
            parts.append(f"no lengths given for {', '.join(sorted(self.untold))}")
        if self.sharp != 1:
            parts.append(f"weights that halt times {self.sharp:g}")
        return f"{'; '.join(parts)}; weights of seed {self.seed}"

    def with_batch(self, batch: Inputs) -> Case:
        """The same run of another batch, told all its lengths."""
        return replace(self, batch=batch, untold=frozenset())


def is_large(subject: Subject) -> bool:
    """Whether trying one input takes seconds."""
    return subject.parameters > LARGE


def scaled(subject: Subject, search: Search) -> Search:
    """The search with as many examples as the size of the model allows."""
    share = min(1.0, LARGE / max(subject.parameters, 1))
    return replace(search, examples=max(min(2, search.examples), int(search.examples * share)))


@st.composite
def cases(
    draw: st.DrawFn,
    subject: Subject,
    modes: tuple[Mode, ...] = MODES,
    batch: tuple[int, int] = (1, 3),
    content: str | None = None,
    ragged: bool = True,
    absent: bool = True,
    soft: bool = True,
) -> Case:
    """A case of the subject.

    content: the law that contents follow, None: any; soft: whether the weights that decide when
    to halt may be as random as all others, which seldom halt.
    """
    few = min(MANY, max(FEW, widest(subject.spec) + 4))
    spec = shortened(subject.spec, draw(st.sampled_from((few, few, few, MANY))))
    least, most = batch
    count = draw(st.sampled_from((*range(least, most + 1), most)))
    drawn = draw(inputs(spec, (count, count), absent, ragged, (content,) if content else CONTENTS))
    drawn = replace(drawn, targets=draw(_targets(drawn)))
    mode = draw(st.sampled_from(modes))
    whole = {name for name in subject.spec.modalities if _is_whole(subject.spec, drawn, name)}
    untold = draw(st.sets(st.sampled_from(sorted(whole)))) if whole else set[str]()
    seed, sharp = 0, 1.0
    if not is_large(subject):
        seed = draw(st.integers(0, 2))
        if any(stream.halting for stream in subject.spec.streams.values()):
            sharp = draw(st.sampled_from(SHARPS[not soft :]))
    return Case(drawn, mode, seed, frozenset(untold), sharp)


@st.composite
def _targets(draw: st.DrawFn, batch: Inputs) -> dict[str, Tensor]:
    """Mostly all of a batch's targets, now and then some."""
    if draw(st.sampled_from((False, False, False, True))):
        kept = draw(st.sets(st.sampled_from(sorted(batch.targets))))
        return {name: target for name, target in batch.targets.items() if name in kept}
    return batch.targets


def _is_whole(spec: Spec, batch: Inputs, name: str) -> bool:
    """Whether the tensors alone say what the lengths of a modality say."""
    values = batch.tensors[name]
    if values is None:
        return True
    modality = spec.modalities[name]
    varies = isinstance(modality, modalities.Varying)
    full = values.shape[1] if varies else 1
    return bool((batch.lengths[name] == full).all())


def shortened(spec: Spec, tokens: int) -> Spec:
    """The spec with sequences of at most so many tokens."""
    changed = {}
    for name, modality in spec.modalities.items():
        if isinstance(modality, modalities.Varying):
            raw, each = step(modality)
            longest = min(modality.length.max, -(-tokens // each) * raw)
            length = modality.length.model_copy(update={"max": longest})
            modality = modality.model_copy(update={"length": length})
        changed[name] = modality
    return spec.model_copy(update={"modalities": changed})


def _far(pattern: masks.Pattern, shortest: Fraction) -> int:
    """How many tokens a pattern speaks of; shortest: seconds from a token to the next."""
    if pattern.facts.is_drawn:
        return 64
    if pattern.facts.by == "clock":
        duration = pattern.get("duration")
        assert not isinstance(duration, str)
        return ceil(duration / shortest)
    return max((value for _, value in pattern.arguments if isinstance(value, int)), default=0)


def widest(spec: Spec) -> int:
    """The largest number in a mask of the spec: how far apart tokens must be to test it."""
    kinds = spec.modalities.values()
    periods = (m.period for m in kinds if m.period is not None)
    shortest = min(periods, default=Fraction(1))
    found = (pattern for *_, mask in spec_masks(spec) for pattern in masks.patterns(mask))
    apart = max((_far(pattern, shortest) for pattern in found), default=0)
    areas = (step(modality)[1] for modality in kinds if modality.period is not None)
    return apart * max(areas, default=1)
