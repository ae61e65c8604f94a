"""Influence shown on the compiled model, in float64: one token changed, another one moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.verify.flow.questions import Path, Question
from mmspec.verify.subject import Subject

SEEDS = 6
"""Weights and inputs that are tried; odd ones in training, since evaluation may stop early."""

PAIRS = 24
"""Pairs of tokens that are tried of each."""

_MOVED = 1e-9
_SHARPER = (1.0, 1.0, 10.0, 10.0, 100.0, 100.0)
"""By seed: factors on the weights of heads that decide about exits."""

Inputs = dict[str, Tensor | None]


@dataclass(frozen=True, slots=True)
class Change:
    """Other inputs, or another output of the origin's stream; `words` say which."""

    inputs: Inputs
    words: str
    token: int | None = None
    """Of the origin's stream: the token of its output that is changed."""


def show(subject: Subject, path: Path) -> str | None:
    """The smallest input found, in words, that shows the path; None where none of them does.

    Raises Broken when the package cannot be run.
    """
    for seed in range(SEEDS):
        found = _Trial(subject, path, seed).find()
        if found is not None:
            return found
    return None


def disturbed(
    subject: Subject, question: Question, lengths: Mapping[str, int], seed: int
) -> str | None:
    """What moves, in words, when all tokens are changed of which the question says that none does.

    Where it asks about later tokens, those from the second, the middle and the last on. Raises
    Broken when the package cannot be run.
    """
    return _Trial(subject, Path(question, (), lengths, ()), seed).disturbed()


@dataclass(slots=True)
class _Trial:
    """One model and one input."""

    subject: Subject
    path: Path
    seed: int

    def find(self) -> str | None:
        """The input and what it moves, in words."""
        model = self._model()
        inputs = _sample(self.subject.plan, self.path, self.seed)
        before = self._run(model, Change(inputs, ""))
        for token, change in self._changes(inputs):
            after = self._run(model, change)
            moved = (after - before).abs().amax(1) > _MOVED * (1 + before.abs().amax(1))
            reached = [q for q, k in self.path.pairs if k == token and moved[self._place(q)]]
            if reached:
                return self._words(reached[0], change, (after - before)[self._place(reached[0])])
        return None

    def disturbed(self) -> str | None:
        """What moves where nothing may."""
        model, question = self._model(), self.path.question
        inputs = _sample(self.subject.plan, self.path, self.seed)
        before = self._run(model, Change(inputs, ""))
        count = self._count()
        starts = sorted({1, count // 2, count - 1} - {0}) if question.later else [0]
        for start in starts:
            for change in self._all_changed(inputs, start):
                difference = (self._run(model, change) - before).abs().amax(1)
                queries = range(start if question.later else count)
                for query in queries:
                    at = self._place(query)
                    if difference[at] > _MOVED * (1 + before[at].abs().max()):
                        return self._words(query, change, difference[at])
        return None

    def _model(self) -> nn.Module:
        model: nn.Module = self.subject.model(self.seed, train=self.seed % 2 == 1)
        _sharpen(model, self.subject.plan, _SHARPER[self.seed])
        return model

    def _count(self) -> int:
        """How many tokens the segment in question has."""
        question = self.path.question
        (stack,) = (one for one in self.subject.plan.stacks() if one.stream == question.stream)
        held = (one for one in stack.out.segments if one.name == question.segment)
        return sum(one.count(self.path.lengths) for one in held)

    def _all_changed(self, inputs: Inputs, start: int) -> Iterator[Change]:
        """Inputs whose tokens of the origin from one on are others; of a stream's, one by one."""
        origin = self.path.question.origin
        if origin.kind == "stream":
            yield from (change for _, change in list(self._changes(inputs))[:3])
            return
        (embed,) = [n for n in _embeds(self.subject.plan) if n.modality == origin.name][:1]
        for token in range(start, self.path.lengths[origin.name]):
            inputs = _changed(inputs, embed, token).inputs
        yield Change(inputs, f"all of {origin.name} from token {start} on changed")

    def _changes(self, inputs: Inputs) -> list[tuple[int, Change]]:
        """Changes to try, with the token of the origin that each is about."""
        origin = self.path.question.origin
        if origin.kind == "stream":
            made = f"token {{}} of the output of stream `{origin.name}` changed"
            tokens = range(min(self._tokens_of(origin.name), PAIRS))
            return [(0, Change(inputs, made.format(i), i)) for i in tokens]
        keys = list(dict.fromkeys(k for _, k in self.path.pairs))[:PAIRS]
        (embed,) = [n for n in _embeds(self.subject.plan) if n.modality == origin.name][:1]
        return [(k, _changed(inputs, embed, k)) for k in keys]

    def _run(self, model: nn.Module, change: Change) -> Tensor:
        """What leaves the stream in question: [tokens, width]."""
        found: list[Tensor] = []
        stacks = {stack.stream: stack.module for stack in self.subject.plan.stacks()}
        question = self.path.question
        target = model.get_submodule(stacks[question.stream])
        hooks = [target.register_forward_hook(lambda _m, _i, out: found.append(_tokens(out)))]
        if change.token is not None:
            source = model.get_submodule(stacks[question.origin.name])
            hooks.insert(0, source.register_forward_hook(_replacing(change.token), prepend=True))
        torch.manual_seed(self.seed)
        try:
            with torch.no_grad():
                model(**change.inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return found[-1][0]

    def _tokens_of(self, stream: str) -> int:
        """How many tokens leave a stream."""
        (stack,) = (stack for stack in self.subject.plan.stacks() if stack.stream == stream)
        lengths = self.path.lengths
        return sum(s.count(lengths) for s in stack.out.segments)

    def _place(self, token: int) -> int:
        """Where a token of the segment stands in its stream."""
        stacks = {stack.stream: stack for stack in self.subject.plan.stacks()}
        place = token
        for segment in stacks[self.path.question.stream].out.segments:
            if segment.name == self.path.question.segment:
                return place
            place += segment.count(self.path.lengths)
        raise AssertionError(self.path.question)

    def _words(self, token: int, change: Change, difference: Tensor) -> str:
        question = self.path.question
        sizes = [
            f"{name} of {size} token{'s' * (size != 1)}" if size else f"no {name}"
            for name, size in self.path.lengths.items()
        ]
        by = float(difference.abs().max())
        return (
            f"one sample, {', '.join(sizes)}; {change.words}: token {token} of {question.segment} "
            f"in stream `{question.stream}` moves by {by:.2g} (weights and input of seed "
            f"{self.seed}{', training' * (self.seed % 2)})"
        )


def _sharpen(model: nn.Module, plan: ir.Plan, factor: float) -> None:
    """Make the heads that decide about exits more certain, so that some decision is close."""
    heads = {head.name: head.module for head in plan.heads}
    for stack in plan.stacks():
        if stack.halting is not None and stack.halting.decider is not None:
            head: Any = model.get_submodule(heads[stack.halting.decider])
            head.output.weight.data.mul_(factor)


def _tokens(out: Any) -> Tensor:
    """The tokens [B, T, D] of what a stack returns: alone, first of several, or the last exit."""
    first: Any = out[0] if isinstance(out, tuple) else out
    tokens: Tensor = first[-1] if isinstance(first, list) else first
    return tokens


def _replacing(token: int) -> Callable[..., Any]:
    """A hook that changes one token of what a stack returns."""

    def hook(_module: nn.Module, _inputs: Any, out: Any) -> Any:
        tokens = _tokens(out).clone()
        if tokens.shape[1] > token:
            ramp = torch.arange(1, tokens.shape[2] + 1, dtype=tokens.dtype)
            tokens[:, token] += torch.cos(ramp)
        if not isinstance(out, tuple):
            return tokens
        first = [*out[0][:-1], tokens] if isinstance(out[0], list) else tokens
        return (first, *out[1:])

    return hook


def _embeds(plan: ir.Plan) -> list[ir.Embed]:
    return [node for node in plan.nodes if isinstance(node, ir.Embed)]


def _sample(plan: ir.Plan, path: Path, seed: int) -> Inputs:
    """One sample of the path's lengths: codes and Gaussian numbers."""
    generator = torch.Generator().manual_seed(seed)
    found: Inputs = {}
    for given in plan.inputs:
        size = path.lengths[given.name]
        found[given.name] = _values(given, size, generator) if size else None
    return found


def _values(given: ir.Input, size: int, generator: torch.Generator) -> Tensor:
    raw = given.raw
    frames = min(size // raw.area * raw.step, given.longest or size * raw.step)
    places = {"B": 1, "T": size, "F": frames}
    shape = [places[side] if isinstance(side, str) else side for side in raw.shape]
    if raw.dtype == "int64":
        return torch.randint(raw.codes(0), shape, generator=generator)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    for token in range(size):
        if codes := raw.codes(token):
            values[raw.held(token)] = torch.randint(codes, (1,), generator=generator)
    return values


def _changed(inputs: Inputs, embed: ir.Embed, token: int) -> Change:
    """The inputs with one token of the modality replaced, and that in words."""
    values, raw = inputs[embed.modality], embed.raw
    assert values is not None
    values, codes = values.clone(), raw.codes(token)
    made, held = f"{raw.place(token, embed.modality)} changed", values[raw.held(token)]
    held += 1
    if codes:
        held %= codes
        made += f" from {(int(held) - 1) % codes} to {int(held)}"
    return Change(inputs | {embed.modality: values}, made)
