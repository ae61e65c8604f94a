"""Inputs to a spec: ragged lengths, absent modalities, contents by a law and a seed, targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.schema.check import token_segment
from mmspec.schema.columns import Categories
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.verify.reference.modality import token_count
from mmspec.verify.reference.packing import packed
from mmspec.verify.strategies import contents, packing

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch: `tensors` by modality (None: absent in all), raw `lengths` [B], `targets` by head.

    documents: of each token of what is packed, int64 [B, tokens] by modality; added: what else is
    given of tokens, [B, tokens, ...] by modality and name, `text.segment`.
    What stands at or past a sample's length is as random as what stands before it.
    """

    tensors: dict[str, Tensor | None]
    lengths: dict[str, Tensor]
    targets: dict[str, Tensor]
    batch: int
    law: str
    seed: int
    documents: dict[str, Tensor] = field(default_factory=dict)
    added: dict[str, Tensor] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, dict[str, Tensor]]:
        """What a model is given beside tensors, lengths and targets, of modalities that it has."""
        packed = {n: ids for n, ids in self.documents.items() if self.tensors[n] is not None}
        added = {n: x for n, x in self.added.items() if self.tensors[n.split(".")[0]] is not None}
        both = {"documents": packed, "added": added}
        return {name: given for name, given in both.items() if given}

    def raw(self, sample: int) -> dict[str, int]:
        """The raw length of every modality in a sample."""
        return {name: int(lengths[sample]) for name, lengths in self.lengths.items()}

    def describe(self) -> str:
        """In words: the batch, each modality's lengths, the law and the seed."""
        parts = [
            f"{name} absent" if values is None else f"{name} of lengths {_list(self.lengths[name])}"
            for name, values in self.tensors.items()
        ]
        parts += [f"documents of {name} {ids.tolist()}" for name, ids in self.documents.items()]
        parts += [f"{name} {x.tolist()}" for name, x in self.added.items()]
        return f"batch of {self.batch}: {', '.join(parts)}; contents: {self.law}, seed {self.seed}"

    def __repr__(self) -> str:
        return f"Inputs({self.describe()})"

    def select(self, indices: Iterable[int]) -> Inputs:
        """The samples at these indices, in their order; paddings stay as they are."""
        rows = list(indices)
        return Inputs(
            {name: None if x is None else x[rows] for name, x in self.tensors.items()},
            {name: x[rows] for name, x in self.lengths.items()},
            {name: x[rows] for name, x in self.targets.items()},
            len(rows),
            self.law,
            self.seed,
            {name: x[rows] for name, x in self.documents.items()},
            {name: x[rows] for name, x in self.added.items()},
        )


def _list(lengths: Tensor) -> str:
    return ", ".join(str(int(n)) for n in lengths)


@st.composite
def inputs(
    draw: st.DrawFn,
    spec: Spec,
    batch: tuple[int, int] = (2, 4),
    absent: bool = True,
    ragged: bool = True,
    laws: tuple[str, ...] | None = None,
) -> Inputs:
    """A batch for `spec`: a modality is present at least, and so is a token of most samples.

    Where every modality is optional a sample may have none of them.

    batch: fewest and most samples; absent: whether optional modalities may be missing; ragged:
    whether samples differ in length (else all have the longest); laws: of the contents (None:
    all of them, the first is the simplest).
    """
    count = draw(st.integers(*batch))
    law = draw(st.sampled_from(laws or sorted(contents.LAWS, key=lambda name: name != "gaussian")))
    seed = draw(st.integers(0, 2**16))
    missing = draw(_missing(spec, count)) if absent else {name: set() for name in spec.modalities}
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor | None] = {}
    lengths: dict[str, Tensor] = {}
    for name, modality in spec.modalities.items():
        raw = [draw(_length(modality)) if ragged else _longest(modality) for _ in range(count)]
        raw = [0 if b in missing[name] else n for b, n in enumerate(raw)]
        lengths[name] = torch.tensor(raw)
        slack = draw(st.integers(0, _longest(modality) - max(raw))) if ragged and max(raw) else 0
        absent_everywhere = not max(raw) and draw(st.booleans())
        padded = max(1, max(raw) + slack)
        tensors[name] = (
            None if absent_everywhere else _values(modality, count, padded, law, generator)
        )
    if all(values is None for values in tensors.values()):
        name, modality = next(iter(spec.modalities.items()))
        tensors[name] = _values(modality, count, 1, law, generator)
    targets = {name: _target(spec, name, tensors, count, generator) for name in spec.heads}
    documents: dict[str, Tensor] = {}
    asked = packed(spec)
    if asked and draw(st.sampled_from((True, True, False))):
        for name in asked:
            values = tensors[name]
            if values is not None:
                documents[name] = packing.documents(spec.modalities[name], values, generator)
    added = _added(spec, tensors, law, generator)
    given = draw(st.sets(st.sampled_from(sorted(added)))) if added else set[str]()
    added = {name: x for name, x in added.items() if name not in given}
    return Inputs(tensors, lengths, targets, count, law, seed, documents, added)


def _added(
    spec: Spec, tensors: dict[str, Tensor | None], law: str, generator: torch.Generator
) -> dict[str, Tensor]:
    """What else is given of the tokens of modalities that are there."""
    found: dict[str, Tensor] = {}
    for name, modality in spec.modalities.items():
        values = tensors[name]
        for what, one in modality.add.items() if values is not None else ():
            assert values is not None
            length = values.shape[1] if isinstance(modality, modalities.Varying) else 1
            shape = len(values), token_count(modality, length)
            if isinstance(one, Categories):
                made = contents.codes("uniform", shape, one.categories, generator)
            else:
                made = contents.numbers(law, (*shape, one.numbers), generator)
            found[f"{name}.{what}"] = made
    return found


@st.composite
def _missing(draw: st.DrawFn, spec: Spec, count: int) -> dict[str, set[int]]:
    """The samples in which each modality is absent; seldom a sample has none at all."""
    missing: dict[str, set[int]] = {name: set() for name in spec.modalities}
    optional = [name for name, modality in spec.modalities.items() if modality.optional]
    for name in optional:
        missing[name] = draw(st.sets(st.integers(0, count - 1), max_size=count))
    for sample in range(count):
        lacks_all = all(sample in samples for samples in missing.values())
        if lacks_all and draw(st.sampled_from((True, True, True, False))):
            missing[draw(st.sampled_from(optional))].discard(sample)
    return missing


def _longest(modality: modalities.Modality) -> int:
    """The longest raw length; 1 (present) of an image or a table."""
    if isinstance(modality, modalities.Varying):
        return modality.length.max
    return 1


@st.composite
def _length(draw: st.DrawFn, modality: modalities.Modality) -> int:
    """1, a small prime, the longest, or anything between."""
    longest = _longest(modality)
    known = sorted({n for n in (1, 2, 3, 7, 13, longest) if n <= longest})
    return draw(st.one_of(st.sampled_from(known), st.integers(1, longest)))


def _values(
    modality: modalities.Modality,
    count: int,
    padded: int,
    law: str,
    generator: torch.Generator,
) -> Tensor:
    """An input tensor whose sequence axis, if any, has `padded` places."""
    shape = (count, *modality.shape(padded))
    if modality.of_text:
        return contents.text(law, shape, generator)
    if modality.ids:
        return contents.codes(law, shape, modality.ids, generator)
    if not modality.codes:
        return contents.numbers(law, shape, generator)
    columns = [
        contents.codes(law, (count,), codes, generator).to(torch.float64)
        if codes
        else contents.numbers(law, (count, 1), generator)[:, 0]
        for codes in modality.codes
    ]
    return torch.stack(columns, 1)


def _target(
    spec: Spec,
    name: str,
    tensors: dict[str, Tensor | None],
    count: int,
    generator: torch.Generator,
) -> Tensor:
    """A target of a head: about one in eight codes is ignored."""
    head = spec.heads[name]
    segment = token_segment(spec, resolve(spec), head)
    if segment is not None:
        values = tensors[segment]
        shape = count, 0 if values is None else values.shape[1]
        ids = contents.codes("uniform", shape, spec.modalities[segment].ids, generator)
        return _some_ignored(ids, generator)
    if head.labels:
        classes = contents.codes("uniform", (count,), head.labels, generator)
        return _some_ignored(classes, generator)
    if head.matches:
        return torch.zeros(count)
    return contents.numbers("gaussian", (count, head.size or 1), generator)


def _some_ignored(codes: Tensor, generator: torch.Generator) -> Tensor:
    """One code in eight, at random, replaced by what losses ignore; never all of them."""
    ignored = torch.rand(codes.shape, generator=generator) < 1 / 8
    return torch.where(ignored, IGNORED, codes)
