"""What every concern's formulas share: the part they return, and the sizes they are written in.

A product of [n, i] and [i, o] is 2*n*i*o FLOPs. Activation bytes are what autograd keeps in one
forward in training without targets: the float32 storages that grow with the batch, each once,
with fused attention, every token valid and two samples or more. Parameters, inputs, integer and
boolean tensors and tables that all samples share are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from mmspec.compiler import ir
from mmspec.verify.costs.polynomial import (
    BATCH,
    Polynomial,
    Symbol,
    constant,
    total,
    variable,
)

FLOAT_BYTES: Final = 4
NOTHING: Final = constant(0)


@dataclass(frozen=True, slots=True)
class Part:
    """What one module (`*`: all blocks of a stack together) costs.

    `owner` is its stream, "" for a head; `share` the part of its FLOPs that is expected to be
    computed when a stack ponders as its prior says.
    """

    name: str
    concern: str
    kind: str
    owner: str
    parameters: int = 0
    active: int = 0
    flops_dense: Polynomial = NOTHING
    flops_useful: Polynomial = NOTHING
    activation_bytes: Polynomial = NOTHING
    share: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Cost:
    """The figures of a layer: parameters, FLOPs, and numbers kept for the backward."""

    parameters: int = 0
    active: int = 0
    dense: Polynomial = NOTHING
    useful: Polynomial = NOTHING
    kept: Polynomial = NOTHING

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.active + other.active,
            self.dense + other.dense,
            self.useful + other.useful,
            self.kept + other.kept,
        )

    def repeated(self, copies: int, steps: int = 1) -> Cost:
        """`copies` of the layer with weights of their own, each applied `steps` times."""
        times = copies * steps
        return Cost(
            self.parameters * copies,
            self.active * copies,
            self.dense * times,
            self.useful * times,
            self.kept * times,
        )

    def part(
        self, name: str, concern: str, kind: str, owner: str, share: Fraction = Fraction(1)
    ) -> Part:
        """As the cost of a module."""
        kept = self.kept * FLOAT_BYTES
        figures = (self.parameters, self.active, self.dense, self.useful, kept)
        return Part(name, concern, kind, owner, *figures, share)


def linear(rows: Polynomial, inputs: int, outputs: int, bias: bool) -> Cost:
    """A linear layer applied to rows; it keeps them."""
    parameters = inputs * outputs + outputs * bias
    flops = rows * (2 * inputs * outputs)
    return Cost(parameters, parameters, flops, flops, rows * inputs)


def weights(count: int) -> Cost:
    """Parameters that take part in no product."""
    return Cost(count, count)


def keeps(numbers: Polynomial) -> Cost:
    """Numbers kept for the backward, and nothing else."""
    return Cost(kept=numbers)


@dataclass
class Sizes:
    """Sizes of a plan: a symbol for each modality of variable length, a number for the others.

    `absent`: modalities that are not there. `kept`: values the backward has.
    """

    plan: ir.Plan
    absent: frozenset[str] = frozenset()
    kept: set[str] = field(default_factory=set)

    def size(self, segment: ir.Segment) -> int | str:
        """Tokens of a segment: a number, or the name of a symbol."""
        if segment.modality in self.absent or segment.leads in self.absent:
            return 0
        return segment.tokens.max if segment.tokens.symbol is None else segment.tokens.symbol

    def tokens(self, *values: ir.Value) -> Polynomial:
        """Tokens of values, together."""
        return self.among(segment for value in values for segment in value.segments)

    def among(self, segments: Iterable[ir.Segment]) -> Polynomial:
        """Tokens of segments, together."""
        sizes = (self.size(segment) for segment in segments)
        return total(variable(Symbol(x)) if isinstance(x, str) else constant(x) for x in sizes)

    def rows(self, *values: ir.Value) -> Polynomial:
        """Tokens of all samples."""
        return BATCH * self.tokens(*values)

    def keep(self, value: ir.Value) -> Polynomial:
        """Numbers that keeping a whole value adds: none where another part keeps it too."""
        if value.name in self.kept:
            return NOTHING
        self.kept.add(value.name)
        return self.rows(value) * value.width
