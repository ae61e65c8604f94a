"""Questions about influence, and their answers: never, or along which path and how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.verify.flow.exact import longest, matrices
from mmspec.verify.flow.masks import Relation
from mmspec.verify.flow.symbolic import Classes
from mmspec.verify.flow.walk import Origin, walk
from mmspec.verify.seen import Bools

Lengths = Mapping[str, int]

_CAPS = (16, 128, 2048)
"""Lengths that matrices are made for, one after the other: most leaks show early."""

_MOST = 8192
"""Tokens of a sample that matrices are made for."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether `origin` reaches the tokens of `segment` as they leave `stream`.

    later: only earlier tokens of the segment than those of the origin count, which is a modality.
    """

    origin: Origin
    stream: str
    segment: str
    later: bool


@dataclass(frozen=True, slots=True)
class Path:
    """A way for influence: its steps in words, the shortest lengths (in tokens) that show it.

    pairs: (token reached, token of the origin), by the latter; of a stream the latter is 0.
    """

    question: Question
    steps: tuple[str, ...]
    lengths: Lengths
    pairs: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return (
            "; ".join(self.steps)
            or f"stream `{self.question.stream}` reads {self.question.segment}"
        )


Scope = Literal["every length", "every length the spec admits"]


@dataclass(frozen=True, slots=True)
class Answer:
    """`never`: the scope in which nothing flows; else `path`; neither: not decided, and `why`.

    drawn: decided by tables of random blocks, one by one, not by formulas.
    """

    question: Question
    never: Scope | None = None
    path: Path | None = None
    why: str = ""
    drawn: bool = False


def ask(plan: ir.Plan, question: Question) -> Answer:
    """Decide for every length at once; where that is not enough, at the longest lengths.

    Masks never look at lengths, so what does not flow at the longest lengths flows at none.
    """
    classes = walk(plan, question.origin, Classes(question.origin))
    found = classes[question.stream, question.segment]
    if found.relation is Relation.NONE or (question.later and found.relation is Relation.PAST):
        return Answer(question, "every length")
    never, first = _proved(plan, question)
    if never:
        return Answer(question, never)
    return _searched(plan, question, first)


def _proved(plan: ir.Plan, question: Question) -> tuple[Scope | None, Lengths | None]:
    """By sets of integers: the scope in which nothing flows, else lengths at which something may.

    Neither where the sets are too many to follow.
    """
    from mmspec.compiler.relations.limit import TooHardError
    from mmspec.verify.flow.sets import prove

    place = question.stream, question.segment
    try:
        proof = prove(plan, question.origin, place, question.later)
    except TooHardError:
        return None, None
    if not proof.ever:
        return "every length", None
    return (None, proof.lengths) if proof.lengths else ("every length the spec admits", None)


def _searched(plan: ir.Plan, question: Question, first: Lengths | None) -> Answer:
    """By matrices, at the first lengths if they are given, then at longer and longer ones."""
    tried = [capped(plan, cap) for cap in _CAPS]
    if first is not None and sum(first.values()) <= _MOST:
        tried.insert(0, dict(first))
    for lengths in tried:
        path = _path(plan, question, lengths)
        if path is not None:
            return Answer(question, path=_shortest(plan, path))
    if tried[-1] == longest(plan):
        scope: Scope = "every length the spec admits"
        return Answer(question, scope, drawn=_draws(plan))
    why = (
        f"nothing flows at lengths up to {max(tried[-1].values())}; longer ones were not looked at"
    )
    if first is not None:
        why = f"something may flow at lengths of {_listed(first)}, too long to follow"
    return Answer(question, why=why)


def _listed(lengths: Lengths) -> str:
    return ", ".join(f"{size:,} {name}" for name, size in lengths.items())


def _draws(plan: ir.Plan) -> bool:
    """Whether some mask of the plan is a table."""
    groups = [group for site in plan.sites() for group in site.groups]
    return any(not is_closed(mask) for group in groups for *_, mask in group.masks)


def capped(plan: ir.Plan, cap: int) -> dict[str, int]:
    """The longest lengths up to a cap; those that do not vary stay."""
    return {
        given.name: min(given.tokens.max, max(cap // given.area, 1) * given.area)
        if given.tokens.symbol
        else given.tokens.max
        for given in plan.inputs
    }


def _path(plan: ir.Plan, question: Question, lengths: Lengths) -> Path | None:
    """The path at these lengths, if there is one."""
    found = matrices(plan, question.origin, lengths)[question.stream, question.segment]
    asked: Bools = np.triu(found.relation, 1) if question.later else found.relation
    if not asked.any():
        return None
    keys, queries = np.nonzero(asked.T)
    pairs = tuple((int(q), int(k)) for k, q in zip(keys[:64], queries[:64], strict=True))
    return Path(question, found.path, dict(lengths), pairs)


def _shortest(plan: ir.Plan, path: Path) -> Path:
    """The same path at lengths of which none can be made smaller."""
    least = {given.name: 0 if given.optional else 1 for given in plan.inputs}
    steps = {given.name: given.area for given in plan.inputs}
    fixed = {given.name for given in plan.inputs if given.tokens.symbol is None}
    for name in path.lengths:
        sizes = range(least[name] * steps[name], path.lengths[name] + 1, steps[name])
        if name in fixed:
            sizes = range(0, path.lengths[name] + 1, max(path.lengths[name], 1))
            sizes = sizes if least[name] == 0 else sizes[-1:]

        def at(size: int, name: str = name, old: Path = path) -> Path | None:
            return _path(plan, old.question, {**old.lengths, name: size})

        path = _first(list(sizes), at, path)
    return path


def _first(sizes: list[int], at: Callable[[int], Path | None], known: Path) -> Path:
    """The path at the least size that has one; the last has, and a larger one than one has."""
    low, high = 0, len(sizes) - 1
    if high and at(sizes[high - 1]) is None:
        return known
    while low < high:
        middle = (low + high) // 2
        found = at(sizes[middle])
        if found is None:
            low = middle + 1
        else:
            known, high = found, middle
    return known


def streams_holding(plan: ir.Plan, modality: str) -> tuple[str, ...]:
    """Streams whose sequence holds the tokens of a modality."""
    return tuple(
        stack.stream
        for stack in plan.stacks()
        if any(segment.modality == modality for segment in stack.out.segments)
    )


def causality(plan: ir.Plan, name: str) -> tuple[Question, ...]:
    """What `causal(name)` asks: of every modality in a stream, or of a modality in every stream."""
    streams = {stack.stream: stack for stack in plan.stacks()}
    if name in streams:
        segments = streams[name].out.segments
        held = [(name, segment.modality) for segment in segments if segment.modality]
    else:
        held = [(stream, name) for stream in streams_holding(plan, name)]
    return tuple(
        Question(Origin("modality", modality), stream, modality, True) for stream, modality in held
    )


def no_flow(plan: ir.Plan, source: str, target: str) -> tuple[Question, ...]:
    """What `no flow from source to target` asks.

    A source that names both a modality and a stream is both. A target is the stream of that name;
    if there is none, the tokens of that modality in every stream.
    """
    streams = {stack.stream: stack for stack in plan.stacks()}
    modalities = {given.name for given in plan.inputs}
    origins = [Origin("modality", source)] if source in modalities else []
    origins += [Origin("stream", source)] if source in streams else []
    if target in streams:
        places = [(target, segment.name) for segment in streams[target].out.segments]
    else:
        places = [(stream, target) for stream in streams_holding(plan, target)]
    return tuple(
        Question(origin, stream, segment, False) for origin in origins for stream, segment in places
    )


def reaches(plan: ir.Plan, source: str, target: str) -> Path | None:
    """How `source` reaches `target`; None where it never does."""
    return _any_path(plan, no_flow(plan, source, target))


def looks_ahead(plan: ir.Plan, name: str) -> Path | None:
    """How a token of a stream (or modality) depends on a later one; None where none does."""
    return _any_path(plan, causality(plan, name))


def _any_path(plan: ir.Plan, questions: tuple[Question, ...]) -> Path | None:
    answers = (ask(plan, question) for question in questions)
    return next((answer.path for answer in answers if answer.path), None)
