"""A count by regions of lengths: one polynomial each, and those that are left far out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from mmspec.compiler.relations.counting.counting import Count
from mmspec.compiler.relations.isl import isl

_FAR: Final = 10**30
_DIMS: Final = isl.dim_type
Terms = tuple[tuple[tuple[int, ...], Fraction], ...]
"""Powers of the lengths, in order, and a coefficient."""


@dataclass(frozen=True, eq=False)
class Regions:
    """A piecewise quasi-polynomial: `exact` everywhere, `long` where each length >= `bound`."""

    exact: isl.PwQPolynomial
    long: isl.PwQPolynomial
    bound: int

    def polynomial(self) -> Terms | None:
        """The long form where it is one polynomial (0 included), else None."""
        return _polynomial(self.long)


def regions(count: Count) -> Regions:
    """The regions of a count, and the least length from which on only far ones are left."""
    exact = count.function
    left = len(_from(exact, count.symbols, _FAR).get_pieces())
    low, high = 1, 1
    while len(_from(exact, count.symbols, high).get_pieces()) > left:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if len(_from(exact, count.symbols, middle).get_pieces()) > left:
            low = middle + 1
        else:
            high = middle
    long = _from(exact, count.symbols, high).gist_params(_least(count.symbols, high)).coalesce()
    return Regions(exact, long, _lowered(count, long, high))


def _lowered(count: Count, long: isl.PwQPolynomial, bound: int) -> int:
    """Regions may be cut finer than they differ: the least length from which on the form holds."""
    terms = _polynomial(long)
    if terms is None or len(count.symbols) != 1:
        return bound
    (symbol,) = count.symbols
    bound = min(bound, _past_differences(count.function.sub(long)))
    while bound and count.at({symbol: bound - 1}) == _value(terms, bound - 1):
        bound -= 1
    return bound


def _past_differences(difference: isl.PwQPolynomial) -> int:
    """A length after every region where a difference is not written as 0.

    Large numbers of a mask make regions that are too long to be walked through.
    """
    past = 0
    for region, form in difference.get_pieces():
        if not form.is_zero():
            line = region.from_params().move_dims(_DIMS.set, 0, _DIMS.param, 0, 1)
            most = line.dim_max_val(0)
            past = max(past, int(most.to_python()) + 1 if most.is_int() else _FAR)
    return past


def _value(terms: Terms, at: int) -> Fraction:
    return sum((factor * at ** powers[0] for powers, factor in terms), Fraction(0))


def _from(function: isl.PwQPolynomial, symbols: tuple[str, ...], least: int) -> isl.PwQPolynomial:
    return function.intersect_params(_least(symbols, least))


def _least(symbols: tuple[str, ...], least: int) -> isl.Set:
    facts = " and ".join(f"{name} >= {least}" for name in symbols) or "true"
    return isl.Set(f"[{', '.join(symbols)}] -> {{ : {facts} }}")


def _polynomial(function: isl.PwQPolynomial) -> Terms | None:
    pieces = function.get_pieces()
    if not pieces:
        return ()
    if len(pieces) > 1 or not pieces[0][0].plain_is_universe():
        return None
    terms: list[tuple[tuple[int, ...], Fraction]] = []
    rounded = False

    def collect(term: isl.Term) -> None:
        nonlocal rounded
        rounded |= any(term.get_exp(_DIMS.div, at) for at in range(term.dim(_DIMS.div)))
        powers = tuple(term.get_exp(_DIMS.param, at) for at in range(term.dim(_DIMS.param)))
        terms.append((powers, Fraction(str(term.get_coefficient_val()))))

    pieces[0][1].foreach_term(collect)
    return None if rounded else tuple(terms)
