"""P54: the closed forms of parameters, FLOPs and visible pairs equal brute-force counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from hypothesis import strategies as st

from mmspec.schema.columns import Categories
from mmspec.schema.stream import Stream
from mmspec.verify import costs as costing
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case
from mmspec.verify.lab.flops import FlopCounter
from mmspec.verify.lab.search import search
from mmspec.verify.lab.site import sites, view
from mmspec.verify.law import Law, Search
from mmspec.verify.outcome import Broken, Outcome
from mmspec.verify.reference import expected_weights, pairs_by_head
from mmspec.verify.reference.modality import longest, step, token_count
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject

_MOST = 2000
"""Blocks up to which a module is made for each."""
_LONGEST = 40
"""Tokens up to which lengths are counted."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A batch size, and the raw length of every modality (1: present), alike in all samples."""

    batch: int
    raw: dict[str, int]

    def describe(self) -> str:
        """In words."""
        told = ", ".join(f"{name} of length {n}" for name, n in self.raw.items())
        return f"batch of {self.batch}: {told}"


@st.composite
def _sizes(draw: st.DrawFn, subject: Subject) -> Sizes:
    raw = {}
    for name, modality in subject.spec.modalities.items():
        frames, each = step(modality)
        raw[name] = draw(st.integers(1, min(longest(modality), -(-_LONGEST // each) * frames)))
        if getattr(modality, "stem", None):  # between its steps frames of whole tokens are counted
            raw[name] = -(-raw[name] // frames) * frames
    return Sizes(draw(st.integers(1, 3)), raw)


def check_parameters(subject: Subject) -> None:
    """Parameters of the model, of every stream, and of what a token uses; raises Broken."""
    with torch.device("meta"):
        made = subject.model_class()
    counts = {name: weight.numel() for name, weight in made.named_parameters()}
    shapes = expected_weights(subject.spec)
    expected = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    _equal("parameters", sum(counts.values()), sum(expected.values()), "in the model")
    found = costing.parameters(subject.plan)
    _equal("parameters", found, sum(counts.values()), "by the closed form")
    active = sum(counts.values()) - _idle(subject)
    _equal("active parameters", costing.active_parameters(subject.plan), active, "by the form")
    for stream in subject.spec.streams:
        own = tuple(f"{prefix}." for prefix in _modules(subject, stream))
        wanted = sum(n for name, n in counts.items() if name.startswith(own))
        form = costing.parameters(subject.plan, stream)
        _equal(f"parameters of `{stream}`", form, wanted, "by the closed form", stream)


def _equal(what: str, found: int, wanted: int, how: str, stream: str = "") -> None:
    if found != wanted:
        raise Broken(
            f"{what}: {found:,} {how}, {wanted:,} counted one by one",
            ("streams", stream) if stream else (),
        )


def _modules(subject: Subject, stream: str) -> Iterator[str]:
    """The modules that belong to a stream: its blocks, fusion, embeddings and projections."""
    yield from (f"{stream}_stream", f"{stream}_fusion")
    for source in lab.wiring(subject).sources[stream]:
        if source.is_stream:
            yield f"{source.name}_to_{stream}"
            continue
        several = len(lab.wiring(subject).readers(source.name)) > 1
        yield f"{source.name}_embedding_{stream}" if several else f"{source.name}_embedding"


def _idle(subject: Subject) -> int:
    """Parameters that a token that visits every stream once does not use."""
    total = 0
    for name, stream in subject.spec.streams.items():
        for place in range(stream.depth):
            segments = len(lab.wiring(subject).segments[name])
            total += sum(_unused(one.of, segments) for one in stream.layer(place).feed_forwards)
    return total


def _unused(kind: Stream, segments: int) -> int:
    """Of a feed-forward, those of the experts and segments that a token does not go to."""
    layer, width = kind.feed_forward, kind.width
    inner = layer.width or 4 * width
    if layer.routed is not None:
        chosen, experts = layer.routed
        return (experts - chosen) * 2 * width * inner
    biases = inner * kind.biased("up") + width * kind.biased("down")
    return (segments - 1) * (2 * width * inner + biases) if layer.split else 0


def _inputs(subject: Subject, sizes: Sizes) -> Inputs:
    """Inputs of these sizes without contents, on the meta device."""
    tensors: dict[str, torch.Tensor | None] = {}
    for name, modality in subject.spec.modalities.items():
        b, n = sizes.batch, sizes.raw[name]
        dtype = torch.int64 if modality.ids else torch.float32
        there = n or modality.varies
        shape = (b, *modality.shape(n))
        tensors[name] = torch.empty(shape, dtype=dtype, device="meta") if there else None
    lengths = {name: torch.full((sizes.batch,), n) for name, n in sizes.raw.items()}
    added = {
        f"{name}.{what}": torch.zeros(
            *(sizes.batch, token_count(modality, sizes.raw[name])),
            *(() if isinstance(one, Categories) else (one.numbers,)),
            dtype=torch.int64 if isinstance(one, Categories) else torch.float32,
            device="meta",
        )
        for name, modality in subject.spec.modalities.items()
        for what, one in modality.add.items()
    }
    return Inputs(tensors, lengths, {}, sizes.batch, "zeros", 0, added=added)


def counted_flops(subject: Subject, sizes: Sizes) -> int:
    """FLOPs of the operators that run, in training without dropout, on the meta device."""
    with torch.device("meta"):
        made = subject.model_class().train()
    batch = _inputs(subject, sizes)
    with torch.no_grad(), lab.dry(made), FlopCounter() as counter:
        made(**batch.tensors, **batch.told)
    total: int = counter.total
    return total


def _flops(subject: Subject, sizes: Sizes) -> None:
    """Dense FLOPs equal those of the operators that run; useful ones leave out hidden pairs."""
    counted = counted_flops(subject, sizes)
    at = costing.tokens(subject.plan, sizes.raw) | {"B": sizes.batch}
    forms = costing.costs(subject.plan)
    _equal("FLOPs", int(forms.flops_dense.evaluate(at)), counted, "by the closed form")
    case = Case(_inputs(subject, sizes), "train")
    useful = counted - sizes.batch * _hidden(subject, case)
    _equal("useful FLOPs", int(forms.flops_useful.evaluate(at)), useful, "by the closed form")
    check_pairs(subject, sizes)


def check_pairs(subject: Subject, sizes: Sizes) -> None:
    """Visible pairs of every stream by closed form equal those of its masks; raises Broken."""
    at = costing.tokens(subject.plan, sizes.raw)
    for stream, config in subject.spec.streams.items():
        form = costing.visible_pairs(subject.plan, stream)
        every = [
            pairs_by_head(subject.spec, stream, sizes.raw, None, i, place)
            for i in range(config.depth)
            for place in range(len(config.layer(i).attentions))
        ]
        heads = math.lcm(*map(len, every))
        wanted = sum(int(seen.sum()) * (heads // len(seen)) for seen in every)
        found = int(form.evaluate(at) * heads * config.depth)
        _equal(f"pairs of `{stream}`", found, wanted, "by the form of all heads", stream)


def _hidden(subject: Subject, case: Case) -> int:
    """FLOPs of pairs that masks hide, in one sample and a training forward."""
    total = 0
    for site in sites(subject):
        seen = view(subject, case, site, 0).seen
        steps = _steps(subject.spec.streams[site.stream]) if site.kind == "own" else 1
        total += 4 * site.width * int((~seen).sum()) * steps
    return total


def _steps(stream: Stream) -> int:
    return stream.halting.most_steps if stream.halting else stream.repeat or 1


def check_depths(subject: Subject) -> None:
    """The bounds of depth are those that the spec names; raises Broken."""
    for name, stream in subject.spec.streams.items():
        wanted = (stream.depth, stream.depth)
        if stream.halting:
            ends = stream.halting.leaves(stream.depth)
            wanted = (ends[0], ends[-1])
        found = costing.expected_depth_bounds(subject.plan, name)
        if found != wanted:
            raise Broken(f"`{name}` runs {found} steps or blocks, not {wanted}", ("streams", name))


def _tokens(subject: Subject) -> None:
    """The longest inputs have as many tokens as the costs say."""
    form = costing.tokens(subject.plan, {})
    for name, modality in subject.spec.modalities.items():
        if name in form:
            wanted = token_count(modality, longest(modality))
            _equal(f"tokens of `{name}`", form[name], wanted, "at the longest")


def _is_countable(subject: Subject) -> str | None:
    blocks = sum(stream.depth for stream in subject.spec.streams.values())
    return f"{blocks:,} blocks are too many to be counted one by one" if blocks > _MOST else None


def _check(law: Law, subject: Subject, asked: Search) -> Outcome:
    check_parameters(subject)
    check_depths(subject)
    _tokens(subject)
    few = replace(asked, examples=min(asked.examples, 12))
    return search(law, subject, few, _sizes(subject), partial(_flops, subject))


P54 = Law(
    "P54",
    "counts",
    "parameters, FLOPs and visible pairs by closed form equal counts one by one",
    _check,
    _is_countable,
    runs=False,
)
