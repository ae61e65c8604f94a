"""Closed forms of how many points a set of integers has, for every value of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING

import islpy as isl

from mmspec.compiler.relations.closed_form import closed_form
from mmspec.compiler.relations.polynomial import Affine, Monomial, Polynomial, plus
from mmspec.compiler.relations.summation import Piece, Quotients, System, pieces

if TYPE_CHECKING:
    import sympy

__all__ = ["Count", "count"]


@dataclass(frozen=True, eq=False)
class Count:
    """A number for each value of the parameters: the sum of pieces, each where it holds."""

    symbols: tuple[str, ...]
    pieces: tuple[Piece, ...]
    quotients: Quotients

    def __str__(self) -> str:
        """As isl writes it: one polynomial for each region, regions apart."""
        return str(self.function)

    @cached_property
    def function(self) -> isl.PwQPolynomial:
        """The same as isl holds it."""
        total = isl.PwQPolynomial(f"[{', '.join(self.symbols)}] -> {{ 0 : false }}")
        for piece in self.pieces:
            total = total.add(isl.PwQPolynomial(self._as_isl(piece)))
        return total.coalesce()

    def _as_isl(self, piece: Piece) -> str:
        parameters = f"[{', '.join(self.symbols)}]"
        return f"{parameters} -> {{ {self._polynomial(piece.value)} : {self._given(piece)} }}"

    def as_affine(self, piece: Piece) -> str:
        """A piece without powers, as isl reads it: a function of the parameters."""
        parameters = f"[{', '.join(self.symbols)}]"
        return f"{{ {parameters} -> [{self._polynomial(piece.value)}] : {self._given(piece)} }}"

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

    def _polynomial(self, value: Polynomial) -> str:
        def term(monomial: Monomial, factor: Fraction) -> str:
            powers = (self._name(name) for name, power in monomial for _ in range(power))
            return "*".join([str(factor), *powers])

        return "(" + (" + ".join(term(*item) for item in value.items()) or "0") + ")"

    @cached_property
    def _compiled(self) -> Callable[..., int]:
        return _compile(self)

    def at(self, lengths: Mapping[str, int]) -> int:
        """The number at these lengths."""
        return self._compiled(*(lengths[name] for name in self.symbols))

    def closed(self) -> sympy.Expr:
        """As a sympy expression of positive integer symbols: cases, each a polynomial."""
        return closed_form(self.function, self.symbols)

    def greatest(self) -> int | None:
        """The greatest it becomes; None where that is not bounded or not affine."""
        return _greatest(self)


def count(points: isl.Set, symbols: tuple[str, ...]) -> Count:
    """Of a set whose parameters are the symbols."""
    quotients = Quotients()
    found: list[Piece] = []
    for part in points.compute_divs().make_disjoint().compute_divs().get_basic_sets():
        system, variables = _system(part)
        found += pieces(system, variables, quotients)
    return Count(symbols, _merged(found), quotients)


def _system(part: isl.BasicSet) -> tuple[System, frozenset[str]]:
    """A basic set as sums over its parameters and variables, its divisions among the latter."""
    dims = isl.dim_type
    sizes = {kind: part.dim(kind) for kind in (dims.param, dims.set, dims.div)}
    parameters = [str(part.get_dim_name(dims.param, at)) for at in range(sizes[dims.param])]
    variables = [f"@{at}" for at in range(sizes[dims.set] + sizes[dims.div])]
    names = ["", *parameters, *variables]
    columns = dims.cst, dims.param, dims.set, dims.div
    zero, least = (
        tuple(
            {
                name: n
                for place, name in enumerate(names)
                if (n := int(matrix.get_element_val(at, place).to_python()))
            }
            for at in range(matrix.rows())
        )
        for matrix in (part.equalities_matrix(*columns), part.inequalities_matrix(*columns))
    )
    return System(zero, least), frozenset(variables)


def _merged(found: list[Piece]) -> tuple[Piece, ...]:
    """Pieces of the same conditions added up."""
    total: dict[object, Piece] = {}
    for piece in found:
        rows = piece.conditions
        key = tuple(
            frozenset(frozenset(row.items()) for row in side) for side in (rows.zero, rows.least)
        )
        before = total[key].value if key in total else {}
        total[key] = Piece(rows, plus(before, piece.value))
    return tuple(piece for piece in total.values() if piece.value)


def _compile(of: Count) -> Callable[..., int]:
    """A function of the parameters, in order."""
    divisor = lcm(*(c.denominator for piece in of.pieces for c in piece.value.values()))
    python = {name: f"_{at}" for at, name in enumerate(of.quotients.definitions)}

    def total(row: Affine) -> str:
        parts = (f"{n}*{python.get(k, k)}" if k else str(n) for k, n in row.items())
        return " + ".join(parts) or "0"

    lines = [f"def count({', '.join(of.symbols)}):", "    total = 0"]
    for name, (value, by) in of.quotients.definitions.items():
        lines.append(f"    {python[name]} = ({total(value)}) // {by}")
    for piece in of.pieces:
        tests = [f"{total(row)} == 0" for row in piece.conditions.zero]
        tests += [f"{total(row)} >= 0" for row in piece.conditions.least]
        terms = (
            "*".join([str(int(c * divisor)), *(python.get(k, k) for k, p in m for _ in range(p))])
            for m, c in piece.value.items()
        )
        lines.append(f"    if {' and '.join(tests) or 'True'}:")
        lines.append(f"        total += {' + '.join(terms)}")
    lines.append(f"    return total // {divisor}")
    names: dict[str, Callable[..., int]] = {}
    exec(compile("\n".join(lines), "<count>", "exec"), {"__builtins__": {}}, names)
    return names["count"]


def _greatest(of: Count) -> int | None:
    total = isl.PwAff(f"{{ [{', '.join(of.symbols)}] -> [(0)] : false }}")
    for piece in of.pieces:
        if any(sum(power for _, power in monomial) > 1 for monomial in piece.value):
            return None
        total = total.union_add(isl.PwAff(of.as_affine(piece)))
    most = total.max_val()
    return int(most.to_python()) if most.is_int() else None if of.pieces else 0
