"""Sums of pieces as isl reads them, and as a Python function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from mmspec.compiler.relations.counting.power_sums import Affine, Monomial, Polynomial
from mmspec.compiler.relations.counting.summation import Piece, Quotients

__all__ = ["IslText", "compiled"]

Pieces = tuple[Piece, ...]
"""Values to add up, each where its conditions hold."""


@dataclass(frozen=True, slots=True)
class IslText:
    """Writes pieces in the symbols that quotients stand for."""

    symbols: tuple[str, ...]
    quotients: Quotients

    @property
    def parameters(self) -> str:
        """`[n, m]`."""
        return f"[{', '.join(self.symbols)}]"

    def polynomial(self, piece: Piece) -> str:
        """A piecewise quasi-polynomial of one piece."""
        return f"{self.parameters} -> {{ {self._value(piece.value)} : {self._given(piece)} }}"

    def affine(self, piece: Piece) -> str:
        """A piece without powers as a function of the parameters."""
        return f"{{ {self.parameters} -> [{self._value(piece.value)}] : {self._given(piece)} }}"

    def _given(self, piece: Piece) -> str:
        conditions = [f"{self._sum(row)} = 0" for row in piece.conditions.zero]
        conditions += [f"{self._sum(row)} >= 0" for row in piece.conditions.least]
        return " and ".join(conditions) or "true"

    def _name(self, name: str) -> str:
        if name not in self.quotients.definitions:
            return name
        value, divisor = self.quotients.definitions[name]
        return f"floor(({self._sum(value)})/{divisor})"

    def _sum(self, row: Affine) -> str:
        parts = (f"{n}*{self._name(name)}" if name else str(n) for name, n in row.items())
        return " + ".join(parts) or "0"

    def _value(self, value: Polynomial) -> str:
        def term(monomial: Monomial, factor: Fraction) -> str:
            powers = (self._name(name) for name, power in monomial for _ in range(power))
            return "*".join([str(factor), *powers])

        return "(" + (" + ".join(term(*item) for item in value.items()) or "0") + ")"


def compiled(
    symbols: tuple[str, ...], terms: Iterable[tuple[Pieces, ...]], quotients: Quotients
) -> Callable[..., int]:
    """A function of the symbols, in order: the sum of products of sums of pieces."""
    names = {name: f"_{at}" for at, name in enumerate(quotients.definitions)}
    names |= {name: f"p{at}" for at, name in enumerate(symbols)}
    lines = [f"def count({', '.join(names[name] for name in symbols)}):", "    total = 0"]
    for name, (value, divisor) in quotients.definitions.items():
        lines.append(f"    {names[name]} = ({_total(value, names)}) // {divisor}")
    for factors in terms:
        lines.append("    product = 1")
        for factor in factors:
            lines += [f"    {line}" for line in _factor(factor, names)]
        lines.append("    total += product")
    lines.append("    return total")
    made: dict[str, Callable[..., int]] = {}
    exec(compile("\n".join(lines), "<count>", "exec"), {"__builtins__": {}}, made)
    return made["count"]


def _factor(factor: Pieces, names: dict[str, str]) -> Iterator[str]:
    """A sum of pieces, by which the product is multiplied."""
    divisor = lcm(*(c.denominator for piece in factor for c in piece.value.values()))
    yield "part = 0"
    for piece in factor:
        tests = [f"{_total(row, names)} == 0" for row in piece.conditions.zero]
        tests += [f"{_total(row, names)} >= 0" for row in piece.conditions.least]
        terms = (
            "*".join([str(int(c * divisor)), *(names[k] for k, p in m for _ in range(p))])
            for m, c in piece.value.items()
        )
        yield f"if {' and '.join(tests) or 'True'}:"
        yield f"    part += {' + '.join(terms)}"
    yield f"product = product * part // {divisor}"


def _total(row: Affine, names: dict[str, str]) -> str:
    parts = (f"{n}*{names[k]}" if k else str(n) for k, n in row.items())
    return " + ".join(parts) or "0"
