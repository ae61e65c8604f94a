"""Weights by name, and the few formulas that every concern needs, written out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


INPUT = ".input"
"""Ends the name of what a module is given; without it a name stands for what the module gives."""


@dataclass(slots=True)
class Passed:
    """What passed through the modules: by name, then by sample, in the order of the calls."""

    samples: int
    sample: int = 0
    values: dict[str, list[list[Tensor]]] = field(default_factory=dict)

    def note(self, name: str, x: Tensor) -> None:
        """Keep what a module gave, or was given, for the sample at work."""
        calls = self.values.setdefault(name, [[] for _ in range(self.samples)])
        calls[self.sample].append(x.detach())


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights by dotted name below a prefix, which is a module's; read as float64."""

    values: Mapping[str, Tensor]
    prefix: str = ""
    passed: Passed | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self.values[self.prefix + name].to(torch.float64)

    def at(self, name: str) -> Weights:
        """The weights of a submodule."""
        return Weights(self.values, f"{self.prefix}{name}.", self.passed)

    def unnoted(self) -> Weights:
        """The same inside a module, where what passes is of heads and not of tokens."""
        return Weights(self.values, self.prefix)

    def note(self, x: Tensor, what: str = "") -> Tensor:
        """X, which the module gives, or with INPUT is given; kept where that is asked for."""
        if self.passed is not None:
            self.passed.note(self.prefix.removesuffix(".") + what, x)
        return x


def linear(x: Tensor, w: Weights, bias: bool = True) -> Tensor:
    """X [..., in] -> [..., out]."""
    y = x @ w["weight"].T
    return y + w["bias"] if bias else y


def linear_shapes(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    """Names and shapes of a linear map."""
    shapes: Shapes = {f"{name}.weight": (outputs, inputs)}
    return shapes | {f"{name}.bias": (outputs,)} if bias else shapes


def log_softmax(x: Tensor) -> Tensor:
    """X minus the logarithm of its summed exponentials, over the last axis (at least one entry)."""
    shifted = x - x.max(-1, keepdim=True).values.detach()
    return shifted - torch.log(torch.exp(shifted).sum(-1, keepdim=True))


def softmax(x: Tensor) -> Tensor:
    """Exponentials over the last axis divided by their sum; -inf gives exactly 0."""
    exponentials = torch.exp(x - x.max(-1, keepdim=True).values.detach())
    return exponentials / exponentials.sum(-1, keepdim=True)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), without overflow."""
    small = torch.exp(-x.abs())
    return torch.where(x >= 0, 1 / (1 + small), small / (1 + small))


def activate(kind: str, x: Tensor) -> Tensor:
    """One of the activations of a feed-forward."""
    if kind == "gelu":
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2
    if kind == "gelu-tanh":
        return x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    if kind == "relu":
        return torch.where(x > 0, x, torch.zeros_like(x))
    if kind == "silu":
        return x * sigmoid(x)
    if kind == "tanh":
        return torch.tanh(x)
    assert kind == "quick-gelu", kind
    return x * sigmoid(1.702 * x)
