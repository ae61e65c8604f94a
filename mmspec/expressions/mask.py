"""Mask expressions.

mask    := term ("|" term)*
term    := factor ("&" factor)*
factor  := "~" factor | "(" mask ")" | NAME ["(" [argument ("," argument)*] ")"]
argument:= [NAME "="] (whole number | duration | NAME)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

Value = int | str | Fraction


@dataclass(frozen=True, slots=True)
class Pattern:
    """A named pattern with all its arguments, defaults included, in the signature's order."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    def get(self, name: str) -> Value:
        """The argument of that name; KeyError where the pattern has none."""
        return dict(self.arguments)[name]

    def size(self, name: str) -> int:
        """The argument of that name, which is a whole number."""
        value = self.get(name)
        assert isinstance(value, int)
        return value


@dataclass(frozen=True, slots=True)
class And:
    """Visible where both are."""

    left: Mask
    right: Mask


@dataclass(frozen=True, slots=True)
class Or:
    """Visible where either is."""

    left: Mask
    right: Mask


@dataclass(frozen=True, slots=True)
class Not:
    """Visible where the operand is not."""

    operand: Mask


Mask = Pattern | And | Or | Not

COMPILED = frozenset({"full", "none", "causal", "window", "dilated", "block", "global"})
