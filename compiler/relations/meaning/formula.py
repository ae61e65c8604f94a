"""Conditions on the coordinates of a query and a key, and their text for isl and for kernels.

formula   := Both(formula, ...) | Either(formula, ...) | condition
condition := AtMost(left, right) | Equal(left, right) | Divides(step, value)
           | Together(left, right, size) | Named(name)

An expression is a sum of integer multiples of coordinates plus a number. There is no negation:
`negate` turns each condition round, so the text needs no `not`, which means one thing for numbers
and another for tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "ALWAYS",
    "NEVER",
    "AtMost",
    "Both",
    "Divides",
    "Either",
    "Equal",
    "Formula",
    "Linear",
    "Named",
    "Together",
    "as_isl",
    "as_source",
    "as_statements",
    "balanced",
    "both",
    "divisors",
    "either",
    "linear",
    "negate",
]


@dataclass(frozen=True, slots=True)
class Linear:
    """A sum of terms (coordinate, factor) and a number."""

    terms: tuple[tuple[str, int], ...]
    number: int = 0

    def __add__(self, other: Linear | int) -> Linear:
        """The sum."""
        if isinstance(other, int):
            return Linear(self.terms, self.number + other)
        return linear([*self.terms, *other.terms], self.number + other.number)

    def __sub__(self, other: Linear | int) -> Linear:
        """The difference."""
        return self + other * -1 if isinstance(other, Linear) else self + -other

    def __mul__(self, factor: int) -> Linear:
        """A multiple."""
        return linear([(name, factor * n) for name, n in self.terms], factor * self.number)

    def __str__(self) -> str:
        """`3 * q - k + 1`."""
        ordered = sorted(self.terms, key=lambda term: term[1] < 0)
        parts = [_term(name, factor) for name, factor in ordered]
        if self.number or not parts:
            parts.append(str(self.number))
        text = parts[0]
        for part in parts[1:]:
            text += f" - {part[1:]}" if part.startswith("-") else f" + {part}"
        return text


def _term(name: str, factor: int) -> str:
    return {1: name, -1: f"-{name}"}.get(factor, f"{factor} * {name}")


def linear(terms: Iterable[tuple[str, int]], number: int = 0) -> Linear:
    """The sum, each coordinate once."""
    total: dict[str, int] = {}
    for name, factor in terms:
        total[name] = total.get(name, 0) + factor
    return Linear(tuple((name, n) for name, n in total.items() if n), number)


@dataclass(frozen=True, slots=True)
class AtMost:
    """left <= right; their constants may be on either side."""

    left: Linear
    right: Linear


@dataclass(frozen=True, slots=True)
class Equal:
    """left is right; or it is not."""

    left: Linear
    right: Linear
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Divides:
    """step divides the value; or it does not."""

    step: int
    value: Linear
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Together:
    """left and right, both at least 0, lie in one part of `size`; or they do not."""

    left: Linear
    right: Linear
    size: int
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Named:
    """What a variable of the source says, where no formula can: of a table."""

    name: str
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Both:
    """All of them hold."""

    parts: tuple[Formula, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """At least one holds."""

    parts: tuple[Formula, ...] = ()


Formula = AtMost | Equal | Divides | Together | Named | Both | Either
ALWAYS = Both()
NEVER = Either()


def both(*parts: Formula) -> Formula:
    """All of them, flat and each once."""
    found = _flat(parts, Both)
    return NEVER if NEVER in found else found[0] if len(found) == 1 else Both(found)


def either(*parts: Formula) -> Formula:
    """Any of them, flat and each once."""
    found = _flat(parts, Either)
    return ALWAYS if ALWAYS in found else found[0] if len(found) == 1 else Either(found)


def _flat(parts: tuple[Formula, ...], kind: type[Both | Either]) -> tuple[Formula, ...]:
    found: dict[Formula, None] = {}
    for part in parts:
        found |= dict.fromkeys(part.parts if isinstance(part, kind) else (part,))
    return tuple(found)


def negate(formula: Formula) -> Formula:
    """What holds exactly where the formula does not."""
    if isinstance(formula, Both):
        return either(*map(negate, formula.parts))
    if isinstance(formula, Either):
        return both(*map(negate, formula.parts))
    if isinstance(formula, AtMost):
        return AtMost(formula.right + 1, formula.left)
    if isinstance(formula, Equal):
        return Equal(formula.left, formula.right, not formula.holds)
    if isinstance(formula, Divides):
        return Divides(formula.step, formula.value, not formula.holds)
    if isinstance(formula, Named):
        return Named(formula.name, not formula.holds)
    return Together(formula.left, formula.right, formula.size, not formula.holds)


def balanced(formula: Formula) -> Formula:
    """The same, where comparisons only add: of rows and columns that makes no whole table."""
    if isinstance(formula, Both | Either):
        return type(formula)(tuple(map(balanced, formula.parts)))
    if not isinstance(formula, AtMost):
        return formula
    value = formula.left - formula.right
    left = Linear(tuple((name, factor) for name, factor in value.terms if factor > 0))
    right = Linear(tuple((name, -factor) for name, factor in value.terms if factor < 0))
    right -= value.number
    return AtMost(left, right) if right.terms else AtMost(left + 1, right + 1)


def as_isl(formula: Formula) -> str:
    """The condition as isl reads it."""
    if isinstance(formula, Both | Either):
        if not formula.parts:
            return "true" if isinstance(formula, Both) else "false"
        word = " and " if isinstance(formula, Both) else " or "
        return "(" + word.join(map(as_isl, formula.parts)) + ")"
    assert not isinstance(formula, Named), formula
    if isinstance(formula, AtMost):
        return f"{formula.left} <= {formula.right}"
    if isinstance(formula, Equal):
        return f"{formula.left} {'=' if formula.holds else '!='} {formula.right}"
    if isinstance(formula, Divides):
        return f"({formula.value}) mod {formula.step} {'=' if formula.holds else '>'} 0"
    left, right = (f"floor(({side})/{formula.size})" for side in (formula.left, formula.right))
    return f"{left} {'=' if formula.holds else '!='} {right}"


def as_source(formula: Formula) -> str:
    """The condition as Python and Triton read it, for numbers and for tensors."""
    if isinstance(formula, Both | Either):
        if not formula.parts:
            return "True" if isinstance(formula, Both) else "False"
        word = " & " if isinstance(formula, Both) else " | "
        return word.join(
            as_source(part) if isinstance(part, Named) else f"({as_source(part)})"
            for part in formula.parts
        )
    if isinstance(formula, Named):
        return formula.name if formula.holds else f"~{formula.name}"
    if isinstance(formula, AtMost):
        return _comparison(formula)
    relation = "==" if formula.holds else "!="
    if isinstance(formula, Equal):
        return f"{formula.left} {relation} {formula.right}"
    if isinstance(formula, Divides):
        return f"({formula.value}) % {formula.step} {relation} 0"
    left, right = (_part(side, formula.size) for side in (formula.left, formula.right))
    return f"{left} {relation} {right}"


def _comparison(condition: AtMost) -> str:
    """`q - 1 >= k` reads better as `k < q`."""
    left, right = condition.left, condition.right
    if left.number == 1 and left.terms:
        return f"{left - 1} < {right}"
    if right.number == -1 and right.terms:
        return f"{left} < {right + 1}"
    return f"{left} <= {right}"


def _part(value: Linear, size: int) -> str:
    text = str(value)
    if size == 1:
        return text
    return f"{text} // {size}" if text.isidentifier() else f"({text}) // {size}"


def as_statements(formula: Formula, name: str, room: int) -> list[str]:
    """Statements that give a name the condition, each side of an operator within the room."""
    text = as_source(formula)
    if len(text) <= room:
        return [f"{name} = {text}"]
    if isinstance(formula, AtMost | Equal):
        sign = " <= " if isinstance(formula, AtMost) else " == " if formula.holds else " != "
        left = f"{name}_{'row' if formula.left.terms else 'end'}"
        return [f"{left} = {formula.left}", f"{name} = {left}{sign}{formula.right}"]
    if isinstance(formula, Divides):
        sign = "==" if formula.holds else "!="
        return [
            f"{name}_apart = {formula.value}",
            f"{name} = {name}_apart % {formula.step} {sign} 0",
        ]
    if not isinstance(formula, Both | Either):
        return [f"{name} = {text}"]
    sign = " & " if isinstance(formula, Both) else " | "
    lines: list[str] = []
    waiting: list[str] = []
    started = False
    for place, part in enumerate(formula.parts, 1):
        inner = as_source(part)
        if len(inner) > room:
            lines += as_statements(part, f"{name}_{place}", room)
            inner = f"{name}_{place}"
        shown = inner if inner.isidentifier() else f"({inner})"
        if waiting and len(sign.join([*waiting, shown])) > room:
            lines.append(_given(name, sign, started, waiting))
            waiting, started = [], True
        waiting.append(shown)
    lines.append(_given(name, sign, started, waiting))
    return lines


def _given(name: str, sign: str, started: bool, parts: list[str]) -> str:
    """A statement that gives a name some parts, and what it has already."""
    if not started and len(parts) == 1:
        return f"{name} = {parts[0].removeprefix('(').removesuffix(')')}"
    return f"{name} = {sign.join([name] * started + parts)}"


def divisors(formula: Formula) -> frozenset[int]:
    """The numbers that it divides by."""
    if isinstance(formula, Both | Either):
        return frozenset().union(*map(divisors, formula.parts))
    if isinstance(formula, Divides):
        return frozenset({formula.step})
    return frozenset({formula.size} if isinstance(formula, Together) else ())
