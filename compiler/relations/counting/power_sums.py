"""Polynomials with exact coefficients, and their sums over ranges of integers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import comb

__all__ = ["ONE", "Affine", "Monomial", "Polynomial", "affine", "plus", "summed", "times"]

Monomial = tuple[tuple[str, int], ...]
"""Variables and their powers, by name."""

Polynomial = dict[Monomial, Fraction]
"""Coefficients other than 0; the empty monomial's is the constant."""

Affine = Mapping[str, int]
"""Factors of variables; that of the empty name is the constant."""

ONE: Polynomial = {(): Fraction(1)}


def affine(value: Affine) -> Polynomial:
    """A sum of variables as a polynomial."""
    return {((name, 1),) if name else (): Fraction(n) for name, n in value.items() if n}


def plus(left: Polynomial, right: Polynomial, factor: Fraction | int = 1) -> Polynomial:
    """left + factor * right."""
    total = dict(left)
    for monomial, coefficient in right.items():
        value = total.pop(monomial, Fraction(0)) + factor * coefficient
        if value:
            total[monomial] = value
    return total


def times(left: Polynomial, right: Polynomial) -> Polynomial:
    """The product."""
    total: Polynomial = {}
    for one, a in left.items():
        total = plus(total, {_product(one, other): b for other, b in right.items()}, a)
    return total


def _product(one: Monomial, other: Monomial) -> Monomial:
    powers = dict(one)
    for name, power in other:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


def _power(base: Polynomial, exponent: int) -> Polynomial:
    value = ONE
    for _ in range(exponent):
        value = times(value, base)
    return value


def _by_power(value: Polynomial, name: str) -> dict[int, Polynomial]:
    """As a polynomial in one variable."""
    found: dict[int, Polynomial] = {}
    for monomial, coefficient in value.items():
        power = dict(monomial).get(name, 0)
        rest = tuple(pair for pair in monomial if pair[0] != name)
        found.setdefault(power, {})[rest] = coefficient
    return found


def replaced(value: Polynomial, name: str, by: Affine) -> Polynomial:
    """The polynomial with a variable replaced by a sum."""
    total: Polynomial = {}
    for power, rest in _by_power(value, name).items():
        total = plus(total, times(rest, _power(affine(by), power)))
    return total


def summed(value: Polynomial, name: str, first: Affine, last: Affine) -> Polynomial:
    """Its sum over the integers from first to last; 0 where last is first - 1."""
    before = {**first, "": first.get("", 0) - 1}
    total: Polynomial = {}
    for power, rest in _by_power(value, name).items():
        series: Polynomial = {
            ((name, degree),) if degree else (): c for degree, c in enumerate(_series(power)) if c
        }
        through = plus(replaced(series, name, last), replaced(series, name, before), -1)
        total = plus(total, times(rest, through))
    return total


@lru_cache(maxsize=64)
def _series(power: int) -> tuple[Fraction, ...]:
    """Coefficients of S with S(x) = 0^power + 1^power + ... + x^power, by (x+1)^(p+1) - x^(p+1)."""
    total = [Fraction(0)] * (power + 2)
    for degree in range(power + 2):
        total[degree] += comb(power + 1, degree)
    for lower in range(power):
        for degree, coefficient in enumerate(_series(lower)):
            total[degree] -= comb(power + 1, lower) * coefficient
    if power:
        return tuple(c / (power + 1) for c in total)
    return Fraction(1), Fraction(1)
