"""The same expression in fewer words, where isl proves it the same."""

from __future__ import annotations

from itertools import product
from math import gcd
from typing import Final

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.syntax import (
    Expression,
    Operation,
    added,
    simplified,
    value,
    variables,
    write,
)

__all__ = ["never_more", "normal"]

_LARGE: Final = 2**16
_TRIED: Final = (0, 1, 3, 100, 10**12)
"""Indices and lengths at which numbers are compared before isl is asked."""


def normal(expression: Expression, facts: isl.Set) -> Expression:
    """A least or greatest of sums and quotients, without parts that others make needless.

    facts: what is known of the variables, which are its parameters.
    """
    if isinstance(expression, Operation) and expression.name in ("min", "max"):
        parts = tuple(normal(part, facts) for part in expression.of)
        return _needed(expression.name, _flat(expression.name, parts), facts)
    if isinstance(expression, Operation) and expression.name in ("floor", "//"):
        value, divisor = expression.of
        if isinstance(value, Operation) and value.name in ("min", "max"):
            parts = tuple(Operation("floor", (part, divisor)) for part in value.of)
            return normal(Operation(value.name, parts), facts)
    return simplified(_written(_sum(expression)), facts)


def _flat(name: str, parts: tuple[Expression, ...]) -> tuple[Expression, ...]:
    found: dict[Expression, None] = {}
    for part in parts:
        inner = isinstance(part, Operation) and part.name == name
        found |= dict.fromkeys(part.of if inner and isinstance(part, Operation) else (part,))
    return tuple(found)


def _needed(name: str, parts: tuple[Expression, ...], facts: isl.Set) -> Expression:
    """Without what is never the least or greatest."""
    kept = list(parts)
    for part in parts:
        others = [other for other in kept if other != part]
        if any(never_more(*_ordered(name, other, part), facts) for other in others):
            kept = others
    return kept[0] if len(kept) == 1 else Operation(name, tuple(kept))


def _ordered(name: str, winner: Expression, loser: Expression) -> tuple[Expression, Expression]:
    return (winner, loser) if name == "min" else (loser, winner)


def never_more(low: Expression, high: Expression, facts: isl.Set) -> bool:
    """Whether one is never more than the other.

    isl takes long to find where one is more if numbers are large; a small tile often shows it.
    """
    if max(_largest(low), _largest(high)) > _LARGE and _is_more(low, high, facts):
        return False
    more = isl.Set(f"{_parameters(facts)} -> {{ : {write(low, 'isl')} > {write(high, 'isl')} }}")
    return bool(more.is_disjoint(facts))


def _largest(expression: Expression) -> int:
    """The largest number in it."""
    if isinstance(expression, Operation):
        return max(map(_largest, expression.of))
    return expression if isinstance(expression, int) else 0


def _is_more(low: Expression, high: Expression, facts: isl.Set) -> bool:
    """Whether one is seen to be more than the other, at one of a few places that there are."""
    names = sorted(variables(low) | variables(high))
    for numbers in product(_TRIED, repeat=len(names)):
        at = dict(zip(names, numbers, strict=True))
        if value(low, at) > value(high, at):
            place = " and ".join(f"{name} = {number}" for name, number in at.items())
            if not isl.Set(f"{_parameters(facts)} -> {{ : {place or 'true'} }}").is_disjoint(facts):
                return True
    return False


def _sum(expression: Expression) -> dict[Expression, int]:
    """Factors of what is added up; that of 1 is the constant."""
    if isinstance(expression, int):
        return {1: expression} if expression else {}
    if isinstance(expression, str):
        return {expression: 1}
    name, of = expression.name, expression.of
    if name in ("+", "-"):
        return _added(_sum(of[0]), _sum(of[1]), 1 if name == "+" else -1)
    if name == "negative":
        return _added({}, _sum(of[0]), -1)
    if name == "*" and isinstance(of[0], int):
        return _added({}, _sum(of[1]), of[0])
    if name in ("floor", "//") and isinstance(of[1], int):
        return _quotient(_sum(of[0]), of[1])
    return {expression: 1}


def _added(
    left: dict[Expression, int], right: dict[Expression, int], factor: int
) -> dict[Expression, int]:
    total = dict(left)
    for part, n in right.items():
        total[part] = total.get(part, 0) + factor * n
    return {part: n for part, n in total.items() if n}


def _quotient(value: dict[Expression, int], divisor: int) -> dict[Expression, int]:
    """floor(value / divisor) without multiples of the divisor and without common factors."""
    whole = {part: n // divisor for part, n in value.items() if n % divisor == 0}
    rest = {part: n for part, n in value.items() if n % divisor and part != 1}
    number = value.get(1, 0)
    whole = _added(whole, {1: number // divisor - whole.get(1, 0)}, 1)
    if not rest:
        return whole
    if not whole and [(type(part), n) for part, n in rest.items()] == [(Operation, 1)]:
        (inner,) = rest
        assert isinstance(inner, Operation)
        if inner.name in ("floor", "//") and isinstance(inner.of[1], int):
            nested = _added(_sum(inner.of[0]), {1: number * inner.of[1]}, 1)
            return _quotient(nested, divisor * inner.of[1])
    common = gcd(divisor, *rest.values())
    scaled = {part: n // common for part, n in rest.items()}
    scaled = _added(scaled, {1: number % divisor // common}, 1)
    return _added(whole, {Operation("floor", (_written(scaled), divisor // common)): 1}, 1)


def _written(value: dict[Expression, int]) -> Expression:
    """Positive terms first, the constant last."""
    found: Expression | None = None
    for part, n in sorted(value.items(), key=lambda item: item[1] < 0):
        if part == 1:
            continue
        term = part if abs(n) == 1 else Operation("*", (abs(n), part))
        if found is None:
            found = term if n > 0 else Operation("negative", (term,))
        else:
            found = Operation("+" if n > 0 else "-", (found, term))
    number = value.get(1, 0)
    return number if found is None else added(found, number)


def _parameters(facts: isl.Set) -> str:
    names = (facts.get_dim_name(isl.dim_type.param, at) for at in range(facts.n_param()))
    return f"[{', '.join(str(name) for name in names)}]"
