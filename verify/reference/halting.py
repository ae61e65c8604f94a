"""Halting: how often and how far the blocks of a stream run, for one sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmspec.schema.halting import Act, Exit, Ponder
from mmspec.schema.stream import Stream
from mmspec.verify.reference.arithmetic import Weights, linear, sigmoid, softmax
from mmspec.verify.reference.norm import normalise
from mmspec.verify.reference.sequence import mean_or_zero
from mmspec.verify.reference.stream import Notes, Place, block, block_of

Classify = Callable[[Tensor], Tensor]
"""Tokens [n, D] to the logits [classes] of the head that decides about an exit."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "ponder": {"weight": 0.01, "threshold": 0.99},
    "act": {"weight": 0.01, "threshold": 0.99},
    "exit": {"every": 1},
}
"""What docs/language.md says an option left out means, by kind."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the stream made of one sample.

    tokens [n, D]; statistics of the sample, and auxiliary losses, of which the batch's mean counts,
    by name; exits: the tokens [n, D] at each exit passed.
    """

    tokens: Tensor
    notes: Notes
    statistics: dict[str, Tensor] = field(default_factory=dict)
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    exits: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a stream, their weights, and who sees whom in each."""

    stream: Stream
    w: Weights
    places: list[Place]

    def run(self, x: Tensor, notes: Notes) -> Tensor:
        """All of them, for the tokens x [n, D]."""
        for _ in range(self.stream.repeat or 1):
            for i in range(self.stream.depth):
                x = self.one(i, x, notes)
        return x

    def one(self, i: int, x: Tensor, notes: Notes) -> Tensor:
        """One of them."""
        return block(x, block_of(self.stream, i), self.w.at(f"blocks.{i}"), self.places[i], notes)

    def finish(self, x: Tensor) -> Tensor:
        """The norm after the last block, where the stream has one."""
        last = self.stream.last_norm
        if last is None:
            return x
        return normalise(x, self.w.at("norm"), last, self.stream.biased("norm"))


def run(x: Tensor, blocks: Blocks, training: bool, classify: Classify) -> Outcome:
    """The stream's output for the tokens x [n, D]."""
    match blocks.stream.halting:
        case Ponder() as rule:
            return _ponder(x, rule, blocks, training)
        case Act() as rule:
            return _act(x, rule, blocks, training)
        case Exit() as rule:
            return _exit(x, rule, blocks, None if training else classify)
        case None:
            notes = Notes()
            return Outcome(blocks.finish(blocks.run(x, notes)), notes)


def _count(number: float) -> Tensor:
    return torch.tensor(float(number), dtype=torch.float64)


def _exit(x: Tensor, rule: Exit, blocks: Blocks, classify: Classify | None) -> Outcome:
    """`classify` None: no exit is taken but the last."""
    notes, depth = Notes(), blocks.stream.depth
    exits: list[Tensor] = []
    for ran in range(1, depth + 1):
        x = blocks.one(ran - 1, x, notes)
        if ran % rule.every and ran < depth:
            continue
        exits.append(blocks.finish(x))
        if classify is not None and ran < depth:
            confidence = softmax(classify(exits[-1])).max()
            if confidence >= rule.threshold:
                return Outcome(exits[-1], notes, {"depth": _count(ran)})
    return Outcome(exits[-1], notes, {"depth": _count(depth)}, exits=tuple(exits))


def _ponder(x: Tensor, rule: Ponder, blocks: Blocks, training: bool) -> Outcome:
    """Apply the blocks again and again; the output is the mean of the steps' under p."""
    notes, halt = Notes(), blocks.w.at("halt")
    left, output = torch.ones((), dtype=torch.float64), torch.zeros_like(x)
    p: list[Tensor] = []
    step = 0
    for step in range(1, rule.at_most + 1):
        x = blocks.run(x, notes)
        h = blocks.finish(x)
        score = linear(mean_or_zero(h), halt)
        if step < rule.at_most:  # the last step takes what is left
            halt.note(score)
        share = left * sigmoid(score)[0]
        reached = float((1 - left + share).detach()) >= rule.threshold
        last = step == rule.at_most or (reached and not training)
        p.append(left if last else share)
        output = output + p[-1] * h
        if last:
            break
        left = left - share
    p += [torch.zeros((), dtype=torch.float64)] * (rule.at_most - len(p))
    shares = torch.stack(p)
    mean = (shares * torch.arange(1, rule.at_most + 1)).sum()
    told = {"halting": shares, "steps": mean if training else _count(step)}
    penalty = {"ponder": ponder_loss(rule, shares)} if rule.weight else {}
    return Outcome(output, notes, told, penalty)


def _act(x: Tensor, rule: Act, blocks: Blocks, training: bool) -> Outcome:
    """Steps weigh what their units say until that is enough; the last weighs what is left."""
    notes, halt, none = Notes(), blocks.w.at("halt"), torch.zeros((), dtype=torch.float64)
    states: list[Tensor] = []
    said: list[Tensor] = []
    taken = 0
    for step in range(1, rule.at_most + 1):
        x = blocks.run(x, notes)
        states.append(blocks.finish(x))
        if step < rule.at_most:
            said.append(sigmoid(halt.note(linear(mean_or_zero(states[-1]), halt)))[0])
        enough = step == rule.at_most or float(sum(said, none).detach()) >= rule.threshold
        taken = taken or (step if enough else 0)
        if taken and not training:
            break
    before = said[: taken - 1]
    remainder = 1 - sum(before, none)
    p = torch.stack([*before, remainder, *[none] * (rule.at_most - taken)])
    output = sum((share * h for share, h in zip(p, states, strict=False)), torch.zeros_like(x))
    penalty = {"ponder": rule.weight * (taken + remainder)} if rule.weight else {}
    return Outcome(output, notes, {"halting": p, "steps": _count(taken)}, penalty)


def log_prior(rule: Ponder) -> Tensor:
    """Logarithms of the truncated geometric prior over steps [N], which may be less than floats."""
    total = sum((1 - rule.prior) ** n for n in range(rule.at_most))
    logs = [n * math.log1p(-rule.prior) - math.log(total) for n in range(rule.at_most)]
    return torch.tensor(logs, dtype=torch.float64)


def ponder_loss(rule: Ponder, p: Tensor) -> Tensor:
    """Weight times KL(p | prior) of a sample; p is [N], 0 log 0 is 0."""
    safe = torch.where(p > 0, p, 1.0)
    terms = p * (torch.log(safe) - log_prior(rule))
    return rule.weight * terms.sum()
