"""Visible pairs of a mask between any two segments, counted by its relation.

The count is exact at every length. As a text it is one polynomial for each region of lengths; it
is opaque (named, not written) where isl would need more than `_OPERATIONS` to join the regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import log, prod
from typing import TYPE_CHECKING, Any, Final

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.geometry import Geometry, renamed
from mmspec.expressions.mask import Mask, patterns, unparse
from mmspec.verify.costs.orders import Order
from mmspec.verify.costs.polynomial import Atom, Polynomial, Symbol, constant, variable

if TYPE_CHECKING:
    import sympy

    from mmspec.compiler.relations.counting.counting import Count
    from mmspec.verify.costs.regions import Regions

_OPERATIONS: Final = 100_000
_MOST_REGIONS: Final = 24

_STEPS: Final = 4
"""Those that divide distances in at most 16 ways."""


@dataclass(frozen=True, slots=True)
class Length:
    """A symbol of a geometry, the modality it is of, and how many tokens one step of it has."""

    symbol: str
    name: str
    area: int


@dataclass(frozen=True, slots=True)
class Related(Atom):
    """Visible pairs of two segments, of which at least one is of variable length."""

    mask: Mask
    query: Geometry
    key: Geometry
    lengths: tuple[Length, ...]

    @property
    def name(self) -> str:
        """`visible(text, 64, prefix(length=3))`."""
        sides = ", ".join(self._side(geometry) for geometry in (self.query, self.key))
        return f"visible({sides}, {unparse(self.mask)})"

    def _side(self, geometry: Geometry) -> str:
        names = {length.symbol: length.name for length in self.lengths}
        return " ".join(names[s] for s in geometry.symbols) or str(geometry.tokens({}))

    def evaluate(self, lengths: Mapping[str, int]) -> int:
        """The number of pairs; lengths in tokens, by modality."""
        at = {length.symbol: lengths[length.name] // length.area for length in self.lengths}
        if _is_line(self.query, self.key, self.mask):
            from mmspec.verify.costs import lines

            return lines.count(self.mask, self.query.tokens(at), self.key.tokens(at))
        return _count(self).at(at)

    @property
    def is_pieced(self) -> bool:
        """With two lengths there are regions of both."""
        return len(self.lengths) > 1

    def orders(self) -> frozenset[Order]:
        """What it grows like as the lengths grow."""
        return self.growths()[0]

    def growths(self) -> tuple[frozenset[Order], ...]:
        """Sets of power products of which each bounds it: two where it is the least of both."""
        return _growths(self)

    def bound(self) -> int:
        """From this length on, in tokens, the closed form for long segments holds."""
        regions = _regions(self)
        areas = [length.area for length in self.lengths]
        return regions.bound * max(areas) if regions else 0

    def closed(self, long: bool = False) -> sympy.Expr:
        """As a sympy expression; `long`: for lengths of at least `bound()`."""
        return _closed(self, long)

    def long(self) -> Polynomial:
        """For lengths of at least `bound()`: a polynomial where there is but one region."""
        regions = _regions(self)
        terms = regions.polynomial() if regions else None
        if terms is None:
            return variable(self)
        found = constant(0)
        for powers, coefficient in terms:
            term = constant(coefficient)
            for length, power in zip(self.lengths, powers, strict=True):
                for _ in range(power):
                    term = term * variable(Symbol(length.name)) * Fraction(1, length.area)
            found = found + term
        return found


def related(query: ir.Segment, key: ir.Segment, mask: Mask) -> Polynomial:
    """Pairs that a mask without tables lets see. Raises TooManyPiecesError, TooHardError."""
    lengths = tuple(dict.fromkeys(x for segment in (query, key) for x in _lengths(segment)))
    same = {length.symbol: f"n{place}" for place, length in enumerate(lengths)}
    ends = [renamed(segment.geometry, same) for segment in (query, key)]
    atom = Related(
        mask, ends[0], ends[1], tuple(replace(x, symbol=same[x.symbol]) for x in lengths)
    )
    if not _is_line(atom.query, atom.key, mask):
        _count(atom)
    return variable(atom) if lengths else constant(atom.evaluate({}))


def _is_line(query: Geometry, key: Geometry, mask: Mask) -> bool:
    """Whether the order of tokens decides it, with so few steps and blocks that pairs of any
    number of tokens are counted without isl.
    """
    if len(query.axes) > 1 or len(key.axes) > 1:
        return False
    known = patterns(mask)
    rules = [pattern.along() for pattern in known]
    blocks, steps = {rule.size for rule in rules} - {None}, {rule.step for rule in rules} - {None}
    by_order = all(pattern.facts.is_by_order for pattern in known)
    return by_order and len(blocks) < 2 and len(steps) <= _STEPS


def _lengths(segment: ir.Segment) -> tuple[Length, ...]:
    area = prod(axis.size for axis in segment.geometry.axes if isinstance(axis.size, int))
    return tuple(
        Length(symbol, segment.tokens.symbol or "", area) for symbol in segment.geometry.symbols
    )


def _count(atom: Related) -> Count:
    return _counted(atom.mask, atom.query, atom.key)


@lru_cache(maxsize=1024)
def _counted(mask: Mask, query: Geometry, key: Geometry, most: int | None = None) -> Count:
    """The pairs, by isl; most: pieces. Raises TooManyPiecesError, TooHardError."""
    from mmspec.compiler.relations.limit import limited
    from mmspec.compiler.relations.meaning.relation import relation

    with limited(10 * _OPERATIONS):
        return relation(mask, query, key).count(most)


def _regions(atom: Related) -> Regions | None:
    return _regions_of(atom.mask, atom.query, atom.key)


@lru_cache(maxsize=1024)
def _regions_of(mask: Mask, query: Geometry, key: Geometry) -> Regions | None:
    """The count by regions of lengths; None where they are too many."""
    from mmspec.compiler.relations.counting.summation import TooManyPiecesError
    from mmspec.compiler.relations.limit import TooHardError, limited
    from mmspec.verify.costs.regions import regions

    try:
        is_written = _is_line(query, key, mask)  # it is counted otherwise
        count = _counted(mask, query, key, 8 * _MOST_REGIONS if is_written else None)
    except (TooHardError, TooManyPiecesError):
        return None
    if sum(len(factor) for factors in count.terms for factor in factors) > 4 * _MOST_REGIONS:
        return None
    try:
        with limited(_OPERATIONS):
            found = regions(count)
    except TooHardError:
        return None
    return found if len(found.exact.get_pieces()) <= _MOST_REGIONS else None


@lru_cache(maxsize=1024)
def _closed(atom: Related, long: bool) -> sympy.Expr:
    import sympy

    from mmspec.compiler.relations.counting.closed_form import closed_form

    symbols = [Symbol(length.name).closed() for length in atom.lengths]
    regions = _regions(atom)
    if regions is None:
        return sympy.Function(f"visible[{unparse(atom.mask)}]")(*symbols)
    function = regions.long if long else regions.exact
    found = closed_form(function, tuple(length.name for length in atom.lengths))
    for symbol, length in zip(symbols, atom.lengths, strict=True):
        found = found.subs(symbol, symbol / length.area) if length.area > 1 else found
    return found


@lru_cache(maxsize=1024)
def _growths(atom: Related) -> tuple[frozenset[Order], ...]:
    """Read off at lengths past every constant of the mask.

    The count never falls as segments grow longer, and far out it is a quasi-polynomial of degree
    at most 1 in each side, on each of the cones between them: so its logarithm at powers of one
    great number shows the degree, along an axis and to both sides of the diagonal.
    """
    names = [length.name for length in atom.lengths]
    great = _past_all(atom)

    def power(*exponents: int) -> int:
        lengths = {x: great**n for x, n in zip(names, exponents, strict=True)}
        pairs = atom.evaluate({x: n * _area(atom, x) for x, n in lengths.items()})
        return round(log(pairs) / log(great)) if pairs else -1

    if len(names) == 1:
        degree = power(1)
        return (frozenset() if degree < 0 else frozenset({_order(names, (degree,))}),)
    return _two(names, power(2, 1), power(1, 1), power(1, 2))


def _two(names: list[str], tall: int, even: int, wide: int) -> tuple[frozenset[Order], ...]:
    """tall, even, wide: the exponents where the lengths are (t^2, t), (t, t), (t, t^2).

    Between those rays and the axes the exponent is linear: one power product where the first
    length is the greater, one where the second is. Either may bound the other as well.
    """
    if even < 0:
        return (frozenset(),)
    first, second = tall - even, wide - even
    above, below = (first, even - first), (even - second, second)
    alone = [x for x in {above, below} if x[0] >= first and x[1] >= second]
    alone.sort(key=lambda powers: (powers[0] ** 2 + powers[1] ** 2, -powers[0]))
    both = frozenset({_order(names, above), _order(names, below)})
    return tuple(frozenset({_order(names, powers)}) for powers in alone) or (both,)


def _order(names: list[str], powers: tuple[int, ...]) -> Order:
    return tuple(sorted((x, n) for x, n in zip(names, powers, strict=True) if n))


def _area(atom: Related, name: str) -> int:
    return next(length.area for length in atom.lengths if length.name == name)


def _past_all(atom: Related) -> int:
    """A length far past every constant there is, and past the product of all of them."""
    known: list[Any] = [value for pattern in patterns(atom.mask) for _, value in pattern.arguments]
    for geometry in (atom.query, atom.key):
        known += [axis.size for axis in geometry.axes]
        known += [geometry.clock.offset, geometry.clock.period] if geometry.clock else []
    numbers = (Fraction(x) for x in known if isinstance(x, int | Fraction))
    constants = prod((1 + abs(x.numerator)) * x.denominator * 1000 for x in numbers)
    return int(10**20 * constants) ** 4
