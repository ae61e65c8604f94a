"""Claims: sentences about a model that verify proves, tests or refutes.

claim      := comparison | growth | "causal" "(" NAME ")" | "no" "flow" "from" NAME "to" NAME
comparison := quantity ("<=" | "<" | ">=" | ">" | "==") number
quantity   := ("params" | "active_params" | "expected_depth") ["(" NAME ")"]
            | ("flops" | "useful_flops") ["(" [NAME "=" whole ("," NAME "=" whole)*] ")"]
growth     := "pairs" "(" NAME ")" "in" "O" "(" ("1" | power ("*" power)*) ")"
power      := NAME ["^" whole]
number     := decimal ["k" | "M" | "G"]
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Comparison:
    """`quantity(argument)` or `quantity(lengths)` compared with an exact bound."""

    quantity: str
    argument: str | None
    lengths: tuple[tuple[str, int], ...]
    relation: str
    bound: Fraction | int


@dataclass(frozen=True, slots=True)
class Growth:
    """`quantity(argument)` grows at most like the product of symbol ** exponent; () is O(1)."""

    quantity: str
    argument: str
    order: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Causal:
    """No output of the stream depends on a later input."""

    stream: str


@dataclass(frozen=True, slots=True)
class NoFlow:
    """Nothing of source (modality or stream) reaches the target stream."""

    source: str
    target: str


Claim = Comparison | Growth | Causal | NoFlow
