"""Closed forms of how many points a set of integers has, for every value of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mmspec.compiler.relations.counting.closed_form import closed_form
from mmspec.compiler.relations.counting.count_text import IslText, Pieces, compiled
from mmspec.compiler.relations.counting.power_sums import Affine, plus
from mmspec.compiler.relations.counting.summation import (
    Piece,
    Quotients,
    System,
    TooManyPiecesError,
    pieces,
)
from mmspec.compiler.relations.isl import isl

if TYPE_CHECKING:
    import sympy

__all__ = ["Count", "count"]


@dataclass(frozen=True, eq=False)
class Count:
    """A number for each value of the parameters: a sum of products of sums of pieces.

    Axes that a mask keeps apart are factors of a product.
    """

    symbols: tuple[str, ...]
    terms: tuple[tuple[Pieces, ...], ...]
    quotients: Quotients

    def __str__(self) -> str:
        """As isl writes it: one polynomial for each region, regions apart."""
        return str(self.function)

    @cached_property
    def function(self) -> isl.PwQPolynomial:
        """The same as isl holds it."""
        total = self._nothing()
        for factors in self.terms:
            product = self._added(factors[0])
            for factor in factors[1:]:
                product = product.mul(self._added(factor))
            total = total.add(product)
        return total.coalesce()

    def _nothing(self) -> isl.PwQPolynomial:
        return isl.PwQPolynomial(f"{self._text.parameters} -> {{ 0 : false }}")

    def _added(self, factor: Pieces) -> isl.PwQPolynomial:
        total = self._nothing()
        for piece in factor:
            total = total.add(isl.PwQPolynomial(self._text.polynomial(piece)))
        return total.coalesce()

    @property
    def _text(self) -> IslText:
        return IslText(self.symbols, self.quotients)

    @cached_property
    def _compiled(self) -> Callable[..., int]:
        return compiled(self.symbols, self.terms, self.quotients)

    def at(self, lengths: Mapping[str, int]) -> int:
        """The number at these lengths."""
        return self._compiled(*(lengths[name] for name in self.symbols))

    def closed(self) -> sympy.Expr:
        """As a sympy expression of integer symbols of at least 0: cases, each a polynomial."""
        import sympy

        products = (
            sympy.Mul(*(closed_form(self._added(factor), self.symbols) for factor in factors))
            for factors in self.terms
        )
        return sympy.Add(*products)

    def greatest(self) -> int | None:
        """The greatest it becomes; None where that is not bounded or not affine."""
        total = isl.PwAff(f"{{ {self._text.parameters} -> [(0)] : false }}")
        for factors in self.terms:
            for piece in factors[0]:
                powers = (sum(power for _, power in monomial) for monomial in piece.value)
                if len(factors) > 1 or any(power > 1 for power in powers):
                    return None
                total = total.union_add(isl.PwAff(self._text.affine(piece)))
        most = total.max_val()
        return int(most.to_python()) if most.is_int() else None if self.terms else 0


def count(points: isl.Set, symbols: tuple[str, ...], most: int | None = None) -> Count:
    """Of a set whose parameters are the symbols; most: pieces that are sought, of each system.

    Raises TooManyPiecesError.
    """
    quotients = Quotients()
    products: list[tuple[Pieces, ...]] = []
    single: list[Piece] = []
    for part in points.compute_divs().make_disjoint().compute_divs().get_basic_sets():
        factors = [
            tuple(_first(pieces(system, variables, quotients), most))
            for system, variables in _independent(*_system(part))
        ]
        if len(factors) == 1:
            single += factors[0]
        elif all(factors):
            products.append(tuple(_merged(list(factor)) for factor in factors))
    merged = _merged(single)
    return Count(symbols, (*([(merged,)] if merged else []), *products), quotients)


def _first(found: Iterator[Piece], most: int | None) -> Iterator[Piece]:
    """Pieces, if they are no more than that."""
    for number, piece in enumerate(found):
        if most is not None and number >= most:
            raise TooManyPiecesError(f"more than {most} pieces")
        yield piece


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


def _independent(
    system: System, variables: frozenset[str]
) -> Iterator[tuple[System, frozenset[str]]]:
    """Systems without variables in common, whose counts multiply; conditions go with the first."""
    groups = [{name} for name in sorted(variables)]
    for row in (*system.zero, *system.least):
        linked = [group for group in groups if group & set(row)]
        groups = [group for group in groups if group not in linked]
        if linked:
            groups.append(set().union(*linked))
    first = True
    for group in groups or [set()]:
        zero, least = (
            tuple(row for row in rows if group & set(row) or (first and not variables & set(row)))
            for rows in (system.zero, system.least)
        )
        yield System(zero, least), frozenset(group)
        first = False


def _merged(found: list[Piece]) -> Pieces:
    """Pieces of the same conditions added up."""
    total: dict[tuple[frozenset[frozenset[tuple[str, int]]], ...], Piece] = {}
    for piece in found:
        rows = piece.conditions
        key = tuple(frozenset(map(_key, side)) for side in (rows.zero, rows.least))
        before = total[key].value if key in total else {}
        total[key] = Piece(rows, plus(before, piece.value))
    return tuple(piece for piece in total.values() if piece.value)


def _key(row: Affine) -> frozenset[tuple[str, int]]:
    return frozenset(row.items())
