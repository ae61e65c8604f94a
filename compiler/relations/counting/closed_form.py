"""Piecewise quasi-polynomials of isl as sympy expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sympy
    from sympy.logic.boolalg import Boolean

from mmspec.compiler.relations.isl import isl

__all__ = ["closed_form"]

_DIMS: Final = isl.dim_type


def closed_form(function: isl.PwQPolynomial, symbols: tuple[str, ...]) -> sympy.Expr:
    """Cases that exclude each other, 0 elsewhere; the symbols are integers of at least 0."""
    import sympy

    of = [sympy.Symbol(name, integer=True, nonnegative=True) for name in symbols]
    cases = [
        (_polynomial(value, of), condition)
        for domain, value in function.get_pieces()
        if (condition := _condition(domain, of)) != sympy.false
    ]
    if not cases:
        return sympy.Integer(0)
    return sympy.Piecewise(*cases, (0, True), evaluate=False)


def _polynomial(value: isl.QPolynomial, symbols: list[sympy.Symbol]) -> sympy.Expr:
    import sympy

    terms: list[sympy.Expr] = []

    def collect(term: isl.Term) -> None:
        product = _rational(term.get_coefficient_val())
        for place, symbol in enumerate(symbols):
            product *= symbol ** term.get_exp(_DIMS.param, place)
        for place in range(term.dim(_DIMS.div)):
            power = term.get_exp(_DIMS.div, place)
            if power:
                product *= sympy.floor(_affine(term.get_div(place), symbols)) ** power
        terms.append(product)

    value.foreach_term(collect)
    return sympy.Add(*terms)


def _affine(value: isl.Aff, symbols: list[sympy.Symbol]) -> sympy.Expr:
    import sympy

    total = _rational(value.get_constant_val())
    for place, symbol in enumerate(symbols):
        total += _rational(value.get_coefficient_val(_DIMS.param, place)) * symbol
    for place in range(value.dim(_DIMS.div)):
        factor = _rational(value.get_coefficient_val(_DIMS.div, place))
        if factor:
            total += factor * sympy.floor(_affine(value.get_div(place), symbols))
    return total


def _condition(domain: isl.Set, symbols: list[sympy.Symbol]) -> Boolean:
    import sympy

    return sympy.Or(*(_all(part, symbols) for part in domain.compute_divs().get_basic_sets()))


def _all(part: isl.BasicSet, symbols: list[sympy.Symbol]) -> Boolean:
    """That all constraints of a basic set hold."""
    import sympy

    facts = []
    for constraint in part.get_constraints():
        value = _affine(constraint.get_aff(), symbols)
        equal = constraint.is_equality()
        facts.append(sympy.Eq(value, 0) if equal else sympy.Ge(value, 0))
    return sympy.And(*facts)


def _rational(value: isl.Val) -> sympy.Expr:
    import sympy

    return sympy.Rational(str(value))
