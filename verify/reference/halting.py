"""Halting: how often and how far the blocks of a stream run, for one sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.schema.halting import Exit, Ponder
from mmspec.schema.stream import Stream
from mmspec.verify.reference.arithmetic import Weights, linear, sigmoid, softmax
from mmspec.verify.reference.norm import normalise
from mmspec.verify.reference.sequence import mean_or_zero
from mmspec.verify.reference.stream import Notes, Place, block, layer_of

Classify = Callable[[Tensor], Tensor]
"""Tokens [n, D] to the logits [classes] of the head that decides about an exit."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the stream made of one sample.

    tokens [n, D]; halting p [N] of a ponder; depth: blocks run under exits, steps of a ponder;
    exits: the tokens [n, D] at each exit passed.
    """

    tokens: Tensor
    notes: Notes
    halting: Tensor | None = None
    depth: int = 0
    exits: tuple[Tensor, ...] = ()


def run(x: Tensor, stream: Stream, w: Weights, place: Place, classify: Classify | None) -> Outcome:
    """The stream's output for the tokens x [n, D]; `classify` None unless exits may be taken."""
    if isinstance(stream.halting, Exit):
        return _exit(x, stream, w, place, classify)
    notes = Notes()
    for i in range(stream.depth):
        x = block(x, layer_of(stream), w.at(f"blocks.{i}"), place, notes)
    return Outcome(finish(x, stream, w), notes)


def finish(x: Tensor, stream: Stream, w: Weights) -> Tensor:
    """The norm after the last block, where the stream has one."""
    return normalise(x, w.at("norm"), stream.norm, stream.bias) if stream.final_norm else x


def exit_depths(stream: Stream) -> list[int]:
    """After how many blocks a sample may leave."""
    assert isinstance(stream.halting, Exit)
    every = stream.halting.every
    return sorted({*range(every, stream.depth + 1, every), stream.depth})


def _exit(
    x: Tensor, stream: Stream, w: Weights, place: Place, classify: Classify | None
) -> Outcome:
    assert isinstance(stream.halting, Exit)
    notes, doors = Notes(), exit_depths(stream)
    exits: list[Tensor] = []
    for depth in range(1, stream.depth + 1):
        x = block(x, layer_of(stream), w.at(f"blocks.{depth - 1}"), place, notes)
        if depth not in doors:
            continue
        exits.append(finish(x, stream, w))
        if classify is not None and depth < stream.depth:
            confidence = softmax(classify(exits[-1])).max()
            if confidence >= stream.halting.threshold:
                return Outcome(exits[-1], notes, depth=depth)
    return Outcome(exits[-1], notes, depth=stream.depth, exits=tuple(exits))


def ponder(x: Tensor, stream: Stream, w: Weights, place: Place, training: bool) -> Outcome:
    """Apply the blocks again and again; the output is the mean of the steps' under p."""
    rule, notes = stream.halting, Notes()
    assert isinstance(rule, Ponder)
    left, output = torch.ones((), dtype=torch.float64), torch.zeros_like(x)
    p: list[Tensor] = []
    step = 0
    for step in range(1, rule.at_most + 1):
        for i in range(stream.depth):
            x = block(x, layer_of(stream), w.at(f"blocks.{i}"), place, notes)
        h = finish(x, stream, w)
        score = linear(mean_or_zero(h), w.at("halt"))
        if step < rule.at_most:  # the last step takes what is left
            w.at("halt").note(score)
        share = left * sigmoid(score)[0]
        reached = float((1 - left + share).detach()) >= rule.threshold
        last = step == rule.at_most or (reached and not training)
        p.append(left if last else share)
        output = output + p[-1] * h
        if last:
            break
        left = left - share
    p += [torch.zeros((), dtype=torch.float64)] * (rule.at_most - len(p))
    return Outcome(output, notes, torch.stack(p), depth=step)


def log_prior(rule: Ponder) -> Tensor:
    """Logarithms of the truncated geometric prior over steps [N], which may be less than floats."""
    total = sum((1 - rule.prior) ** n for n in range(rule.at_most))
    logs = [n * math.log1p(-rule.prior) - math.log(total) for n in range(rule.at_most)]
    return torch.tensor(logs, dtype=torch.float64)


def ponder_loss(rule: Ponder, p: Tensor) -> Tensor:
    """Weight times the mean over samples of KL(p | prior); p is [B, N], 0 log 0 is 0."""
    safe = torch.where(p > 0, p, 1.0)
    terms = p * (torch.log(safe) - log_prior(rule))
    return rule.weight * terms.sum(1).mean()
