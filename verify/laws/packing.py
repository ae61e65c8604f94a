"""P15: documents packed into one sample are what they are when each is a sample of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.schema import modality as modalities
from mmspec.schema.spec import Spec
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import FEW, MODES, Case, shortened
from mmspec.verify.lab.change import predicting, resized
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.reference import packing
from mmspec.verify.reference.modality import segment_count, step, token_count
from mmspec.verify.strategies import Inputs, inputs
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Packed:
    """Documents as samples of their own, and the orders in which samples hold all of them.

    ids: the number of each document, and that of what pads them by `slack` steps.
    """

    case: Case
    orders: tuple[tuple[int, ...], ...]
    ids: tuple[int, ...]
    slack: int

    def describe(self) -> str:
        """In words."""
        orders = " and ".join(", ".join(map(str, order)) for order in self.orders)
        told = f"documents {orders} packed, numbered {list(self.ids[:-1])}"
        return f"{self.case.describe()}; {told}, {self.slack} more places"


def _applies(subject: Subject) -> str | None:
    if not packing.packed(subject.spec):
        return "no mask asks for documents"
    if not packing.separate(subject.spec):
        return "some token depends on other documents than its own"
    if not packing.moves(subject.spec):
        return "a mask counts from the start of the sample, not of the document"
    return None


@st.composite
def _packed(draw: st.DrawFn, subject: Subject) -> Packed:
    spec, count = subject.spec, draw(st.integers(2, 4))
    names = packing.packed(spec)
    room = min(_steps(spec, name) for name in names) // count
    batch = draw(inputs(shortened(spec, max(1, min(FEW, room))), (count, count)))
    batch = _shared(_whole(spec, replace(batch, documents={}), names), names)
    targets = [head for name in names for head in predicting(spec, name)]
    batch = replace(batch, targets={name: batch.targets[name] for name in targets})
    orders = draw(st.lists(st.permutations(range(count)), min_size=1, max_size=2))
    ids = draw(st.lists(st.integers(-2, 9), min_size=count, max_size=count, unique=True))
    more = draw(st.integers(0, 3)), draw(st.integers(-2, 9))
    mode = draw(st.sampled_from(MODES))
    case = Case(batch, mode, draw(st.integers(0, 2)))
    return Packed(case, tuple(map(tuple, orders)), (*ids, more[1]), more[0] if room else -1)


def _steps(spec: Spec, name: str) -> int:
    """Tokens of a packed modality whose frames are all there."""
    modality = spec.modalities[name]
    assert isinstance(modality, modalities.Varying)
    return modality.length.max // step(modality)[0]


def _whole(spec: Spec, batch: Inputs, names: list[str]) -> Inputs:
    """The batch with lengths of packed modalities that fill their last token."""
    lengths, sizes = dict(batch.lengths), {}
    for name in names:
        raw, _ = step(spec.modalities[name])
        lengths[name] = -(-lengths[name] // raw) * raw
        sizes[name] = int(lengths[name].max())
    return replace(resized(spec, batch, sizes), lengths=lengths)


def _shared(batch: Inputs, names: list[str]) -> Inputs:
    """The batch with the first sample's contents in all of them, but of what is packed."""
    tensors, lengths, added = dict(batch.tensors), dict(batch.lengths), dict(batch.added)
    for what, given in batch.added.items():
        if what.split(".")[0] not in names:
            added[what] = given[:1].expand(given.shape).contiguous()
    for name, values in batch.tensors.items():
        if name not in names:
            lengths[name] = lengths[name][:1].expand(batch.batch).contiguous()
            if values is not None:
                tensors[name] = values[:1].expand(values.shape).contiguous()
    return replace(batch, tensors=tensors, lengths=lengths, added=added)


def _together(spec: Spec, packed: Packed) -> Inputs:
    """One sample for each order, which holds all documents."""
    batch, count = packed.case.batch, len(packed.orders)
    found = batch.select([0] * count)
    tensors, lengths, targets = dict(found.tensors), dict(found.lengths), dict(found.targets)
    documents, added = {}, dict(found.added)
    for name in packing.packed(spec):
        values, sizes = batch.tensors[name], [int(n) for n in batch.lengths[name]]
        if values is None:
            continue
        raw, _ = step(spec.modalities[name])
        more = min(packed.slack, _steps(spec, name) - sum(sizes) // raw) if any(sizes) else 0
        tensors[name] = _rows(values, packed.orders, sizes, more * raw)
        lengths[name] = torch.full((count,), sum(sizes))
        each = [token_count(spec.modalities[name], n) for n in sizes]
        documents[name] = torch.tensor(
            [
                [packed.ids[i] for i in order for _ in range(each[i])] + [packed.ids[-1]] * more
                for order in packed.orders
            ]
        ).reshape(count, -1)
        for what in (what for what in added if what.split(".")[0] == name):
            added[what] = _rows(batch.added[what], packed.orders, each, more)
        for head in predicting(spec, name):
            targets[head] = _rows(batch.targets[head], packed.orders, sizes, more)
    found = replace(found, tensors=tensors, lengths=lengths, targets=targets, batch=count)
    return replace(found, documents=documents, added=added)


def _rows(
    values: Tensor, orders: tuple[tuple[int, ...], ...], sizes: list[int], more: int
) -> Tensor:
    """The first so many values of each sample one after another, and some of the first to pad."""
    pad = values[0, : min(more, 1)].expand(more, *values.shape[2:])
    return torch.stack([torch.cat([*(values[i, : sizes[i]] for i in o), pad]) for o in orders])


def _check(subject: Subject, packed: Packed) -> None:
    if packed.slack < 0:
        raise Vacuous
    case = packed.case
    other = case.with_batch(_together(subject.spec, packed))
    apart, together = lab.run(subject, case), lab.run(subject, other)
    for stream in lab.wiring(subject).order:
        before = lab.tokens(subject, case, apart.streams, stream)
        after = lab.tokens(subject, other, together.streams, stream)
        for row, order in enumerate(packed.orders):
            for document, places in _places(subject, packed, stream, order):
                wrong = difference(after[row][places], before[document])
                if wrong is not None:
                    told = f"document {document} in stream `{stream}` {wrong}, packed"
                    raise Broken(told, ("streams", stream, "attention"))
    for name, loss in apart.losses.items():
        wrong = difference(together.losses[name], loss)
        if wrong is not None:
            raise Broken(f"loss `{name}` {wrong}, documents packed", ("heads", name))


def _places(
    subject: Subject, packed: Packed, stream: str, order: tuple[int, ...]
) -> Iterator[tuple[int, list[int]]]:
    """Each document, and where its tokens stand among the valid ones of a packed sample."""
    spec, batch = subject.spec, packed.case.batch
    names = packing.packed(spec)
    for document in order:
        start, found = 0, list[int]()
        for segment in lab.wiring(subject).segments[stream]:
            raw = map(batch.raw, range(batch.batch))
            each = [segment_count(spec, segment, lengths) for lengths in raw]
            if segment.modality in names:
                begin = start + sum(each[i] for i in order[: order.index(document)])
                found += range(begin, begin + each[document])
                start += sum(each)
            else:
                found += range(start, start + each[document])
                start += each[document]
        yield document, found


P15 = Law(
    "P15",
    "packing",
    "documents packed into a sample give the tokens and losses of samples of their own, "
    "where none sees another",
    tried(_check, _packed),
    _applies,
)
