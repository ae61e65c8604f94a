"""The first value that differs between a model and the reference, or between two models.

    from mmspec.verify import first_difference
    found = first_difference("gated/spec.yaml", edited)         # an edited package's model: does
    found = first_difference("gated/spec.yaml", edited, sound)  # it mean the spec? and the other?
    print(found or "no value differs")

What passes between modules is compared in the order of execution: embeddings, projections,
fusions, what streams are given, each block's norms, attention and feed-forward, streams, heads.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.verify.lab import lab, passing
from mmspec.verify.lab.case import Case, cases, scaled
from mmspec.verify.lab.compare import Apart, farthest, shapes_apart
from mmspec.verify.lab.search import search
from mmspec.verify.law import Law, Search
from mmspec.verify.outcome import Broken, not_checked
from mmspec.verify.reference import expected_weights
from mmspec.verify.reference.arithmetic import INPUT
from mmspec.verify.reference.model import Mode
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject

_MODES: dict[Mode, str] = {"eval": "evaluation", "train": "training"}
_AGREEMENT = Law("agreement", "agreement", "two models agree", lambda *_: not_checked("", "", ""))
"""What is searched for; no law of a spec's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A place whose values differ beyond the tolerance of the laws; all `before` it agree.

    place: a module's path, with `.input` at its end where what it is given differs already;
    call: how often the module had been called (steps of a ponder, exits); sample, token and
    apart: where it differs most in the first sample that differs, None where shapes differ.
    """

    place: str
    what: str
    before: tuple[str, ...]
    call: int = 0
    sample: int | None = None
    token: int | None = None
    apart: Apart | None = None
    weights: tuple[str, ...] = ()
    """Weights of the module that differ themselves."""
    inputs: str = ""
    """What was put in, in words."""

    def __str__(self) -> str:
        said = f"{_named(self.place)}{f' in call {self.call + 1}' if self.call else ''} {self.what}"
        if self.weights:
            said += f" (its weights differ: {', '.join(self.weights)})"
        if self.before:
            said += f"; before it {len(self.before)} agree, last {_named(self.before[-1])}"
        else:
            said += "; it is the first"
        return said + (f"; inputs: {self.inputs}" if self.inputs else "")


def first_difference(
    path: str | os.PathLike[str],
    model: nn.Module,
    other: nn.Module | None = None,
    inputs: Mapping[str, Any] | None = None,
    examples: int = 20,
    seed: int = 0,
) -> Difference | None:
    """Where `model` first differs from `other`, or from the meaning of the spec at `path`.

    path: the spec of both, as in a package's `spec.yaml`; other: None for the reference, on the
    weights of `model`; two models keep their own. inputs: what the model is called with, lengths,
    documents and what is added among it, in evaluation; None: `examples` batches are drawn from
    `seed`, in evaluation and training, and the smallest that differs is told. Both run as copies in
    float64, without dropout. None: no value differs.
    Raises MmspecError when the spec is not valid, ValueError when the model has not the weights
    that the reference needs, and what a model raises.
    """
    subject = Subject.of(path)
    lacking = expected_weights(subject.spec).keys() - model.state_dict().keys()
    if other is None and lacking:
        raise ValueError(f"the model lacks `{min(lacking)}`, which the spec's models have")
    mine = copy.deepcopy(model).cpu().double()
    theirs = None if other is None else copy.deepcopy(other).cpu().double()
    if inputs is not None:
        return compared(subject, _given(subject, inputs), mine, theirs)
    met: list[Difference | Exception] = []

    def check(case: Case) -> None:
        try:
            found = compared(subject, case, mine, theirs)
        except Exception as error:
            met.append(error)
            raise
        if found is not None:
            met.append(replace(found, inputs=f"{case.batch.describe()}; {_MODES[case.mode]}"))
            raise Broken(str(found))

    tried = scaled(subject, Search(examples, seed))
    found = search(_AGREEMENT, subject, tried, cases(subject), check)
    last = met[-1] if found.status == "refuted" else None
    if isinstance(last, Exception):
        raise last
    return last


def explain(subject: Subject, case: Case) -> str:
    """For a law that a case refutes: the first place that is not the reference's, in words."""
    found = compared(subject, case, lab.model(subject, case), None)
    return f"the first that differs: {found}" if found else "all that passes between modules agrees"


def _given(subject: Subject, inputs: Mapping[str, Any]) -> Case:
    """A batch that somebody has, as a case."""
    named = dict(inputs)
    told, documents = named.pop("lengths", None) or {}, named.pop("documents", None) or {}
    targets, added = named.pop("targets", None) or {}, named.pop("added", None) or {}
    tensors = {name: _precise(named.get(name)) for name in subject.spec.modalities}
    batch = len(next(x for x in (*tensors.values(), *told.values()) if x is not None))
    known = {n: told.get(n, _whole(subject, n, x, batch)) for n, x in tensors.items()}
    drawn = Inputs(tensors, known, targets, batch, "given", 0, documents)
    drawn = replace(drawn, added={name: _doubled(x) for name, x in added.items()})
    return Case(drawn, untold=frozenset(n for n in tensors if n not in told))


def _precise(x: Tensor | None) -> Tensor | None:
    """What the models, which run in float64, take."""
    return None if x is None else _doubled(x)


def _doubled(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _whole(subject: Subject, name: str, x: Tensor | None, batch: int) -> Tensor:
    """Lengths that nobody told: all of the tensor, or that it is there."""
    if x is None:
        return torch.zeros(batch, dtype=torch.int64)
    varies = subject.spec.modalities[name].varies
    return torch.full((batch,), x.shape[1] if varies else 1)


def compared(
    subject: Subject, case: Case, model: nn.Module, other: nn.Module | None
) -> Difference | None:
    """The first place that differs in one case."""
    seen = passing.run(subject, case, model)
    if other is None:
        result = lab.reference(subject, case, given=model.state_dict(), record=True)
        found = _first(subject, case, seen, result.passed, result.heads)
    else:
        theirs = passing.run(subject, case, other)
        found = _first(subject, case, seen, *passing.by_sample(subject, case, theirs))
    if found is None or other is None:
        return found
    return replace(found, weights=_weights_apart(found.place, model, other))


def _first(
    subject: Subject,
    case: Case,
    seen: passing.Run,
    expected: passing.Passed,
    heads: Mapping[str, Tensor],
) -> Difference | None:
    """Go through the notes of a run, in their order, then its heads."""
    before: list[str] = []
    order = {name: i for i, name in enumerate(expected)}
    noted = {name for name, _ in seen.notes}
    missing = [
        n
        for n, samples in expected.items()
        if n not in noted and n.removesuffix(INPUT) in seen.modules and _holds(samples)
    ]
    calls = Counter[str]()
    for name, x in seen.notes:
        if name not in expected:
            continue
        for lost in missing:
            if order[lost] < order[name]:
                return Difference(lost.removesuffix(INPUT), "is not run", tuple(before))
        found = _apart(subject, case, name, calls[name], x, expected[name])
        if found is not None:
            return replace(found, before=tuple(before), call=calls[name])
        calls[name] += 1
        before.append(name)
    if missing:
        return Difference(missing[0].removesuffix(INPUT), "is not run", tuple(before))
    for name, theirs in heads.items():
        if name not in seen.heads:
            return Difference(f"{name}_head", "is not among the outputs", tuple(before))
        found = _worst(f"{name}_head", seen.heads[name], theirs, range(case.batch.batch))
        if found is not None:
            return replace(found, before=tuple(before))
        before.append(f"{name}_head")
    return None


def _holds(samples: list[list[Tensor]]) -> bool:
    """Whether there is a number that can be missing."""
    return any(x.numel() for calls in samples for x in calls)


def _apart(
    subject: Subject,
    case: Case,
    name: str,
    call: int,
    x: Tensor,
    samples: list[list[Tensor]],
) -> Difference | None:
    """How one call of a module differs; the first sample that does."""
    running = [sample for sample, calls in enumerate(samples) if len(calls) > call]
    pieces = passing.split(subject, case, name, x, running)
    if isinstance(pieces, str):
        return Difference(name.removesuffix(INPUT), pieces, ())
    for sample, piece in zip(running, pieces, strict=True):
        found = _worst(name, piece[None], samples[sample][call][None], [sample])
        if found is not None:
            return found
    return None


def _worst(name: str, x: Tensor, expected: Tensor, samples: Sequence[int]) -> Difference | None:
    """What differs most of [B, ...] or [B, tokens, ...], whose rows are these samples."""
    shapes = shapes_apart(x, expected)
    if shapes is not None:
        return Difference(name, shapes, ())
    apart = farthest(x, expected)
    if apart is None:
        return None
    row, *inner = apart.place
    token = inner[0] if len(inner) == 2 else None
    places = [f"sample {samples[row]}"]
    places += [] if token is None else [f"token {token}"]
    places += [f"feature {inner[-1]}"] if inner else []
    what = f"{apart} (off by {abs(apart.found - apart.expected):.3g}) at {', '.join(places)}"
    return Difference(name, what, (), 0, samples[row], token, apart)


def _weights_apart(place: str, model: nn.Module, other: nn.Module) -> tuple[str, ...]:
    """Weights of a place's module that the two do not share."""
    theirs, prefix = dict(other.named_parameters()), f"{place.removesuffix(INPUT)}."
    return tuple(
        name
        for name, x in model.named_parameters()
        if name.startswith(prefix) and not (name in theirs and x.equal(theirs[name]))
    )


def _named(place: str) -> str:
    module = f"`{place.removesuffix(INPUT)}`"
    return f"what {module} is given" if place.endswith(INPUT) else module
