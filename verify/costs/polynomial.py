"""Exact polynomials in batch, lengths and visible pairs; sympy only where one is printed.

monomial   := ((atom, power), ...) sorted by name
polynomial := {monomial: whole number or fraction}
atom       := Symbol(name) | Visible(...) | Related(...) | Drawn(...)    -- any `Atom`
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal

from mmspec.verify.costs.orders import Order, bounded, highest, products, shortened
from mmspec.verify.uncounted import NotCountedError

if TYPE_CHECKING:
    import sympy

Number = int | Fraction

_PIECED: Final = 32
"""Atoms whose text has several pieces, up to which all are written out in one polynomial."""


class Atom(ABC):
    """What a polynomial is made of: hashable, printable, a whole number once lengths are known."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """Sorts and tells apart atoms."""

    @abstractmethod
    def evaluate(self, lengths: Mapping[str, int]) -> int:
        """The value at these lengths."""

    @abstractmethod
    def orders(self) -> frozenset[Order]:
        """The power products it grows like; empty when it is always 0."""

    @abstractmethod
    def closed(self, long: bool = False) -> Any:
        """As a sympy expression; `long`: what it is for lengths of at least `bound()`."""

    def growths(self) -> tuple[frozenset[Order], ...]:
        """Sets of power products, each of which bounds it; `orders` is the first."""
        return (self.orders(),)

    @property
    def exact(self) -> bool:
        """Whether it grows as `orders` says, or may grow less."""
        return True

    @property
    def is_pieced(self) -> bool:
        """Whether its text is one of several pieces."""
        return False

    def long(self) -> Polynomial:
        """What it is for lengths of at least `bound()`, multiplied out where it can be."""
        return variable(self)

    def bound(self) -> int:
        """The least length from which on the long form holds; 0: there is but one form."""
        return 0


class Symbol(str, Atom):
    """The batch size "B", or the number of tokens of a modality, by its name."""

    __slots__ = ()

    name = property(str)  # pyright: ignore[reportIncompatibleMethodOverride]

    def evaluate(self, lengths: Mapping[str, int]) -> int:
        """The length of that name."""
        return lengths[self]

    def orders(self) -> frozenset[Order]:
        """Itself."""
        return frozenset({((self.name, 1),)})

    def closed(self, long: bool = False) -> sympy.Symbol:
        """As a symbol of sympy: integer, not negative."""
        import sympy

        return sympy.Symbol(self.name, integer=True, nonnegative=True)


Monomial = tuple[tuple[Any, int], ...]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of monomials with exact coefficients; + and * with each other and with numbers."""

    terms: Mapping[Monomial, Number] = field(default_factory=dict)

    def __add__(self, other: Polynomial | Number) -> Polynomial:
        total = dict(self.terms)
        for monomial, coefficient in _polynomial(other).terms.items():
            total[monomial] = total.get(monomial, 0) + coefficient
        return _without_zeros(total)

    def __mul__(self, other: Polynomial | Number) -> Polynomial:
        if not isinstance(other, Polynomial):
            return _without_zeros({each: number * other for each, number in self.terms.items()})
        total: dict[Monomial, Number] = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                monomial = _times(left, right)
                total[monomial] = total.get(monomial, 0) + a * b
        return _without_zeros(total)

    def __sub__(self, other: Polynomial | Number) -> Polynomial:
        return self + _polynomial(other) * -1

    __radd__ = __add__
    __rmul__ = __mul__

    def evaluate(self, lengths: Mapping[str, int]) -> Number:
        """The exact value; `lengths` names every symbol, in tokens ("B": samples)."""
        total: Number = 0
        for monomial, coefficient in self.terms.items():
            total += _value(monomial, coefficient, lengths)
        return int(total) if total == int(total) else total

    def counted(self, lengths: Mapping[str, int]) -> tuple[Number, str]:
        """The exact value; or what it is at least, and why more is not known."""
        known: Number = 0
        why = ""
        for monomial, coefficient in self.terms.items():
            try:
                known += _value(monomial, coefficient, lengths)
            except NotCountedError as error:
                assert coefficient > 0, self
                why = why or error.reason
        return int(known) if known == int(known) else known, why

    def orders(self) -> frozenset[Order]:
        """The power products that bound it, none of which another one bounds."""
        found: set[Order] = set()
        for monomial in self.terms:
            if _is_plain(monomial):
                found.add(monomial)
            else:
                found |= products([atom.orders() for atom, n in monomial for _ in range(n)])
        return highest(found)

    def within(self, order: Order) -> bool:
        """Whether it grows at most like a power product."""
        return all(_within(monomial, order) for monomial in self.terms)

    @property
    def exact(self) -> bool:
        """Whether it grows as `orders` says, or may grow less."""
        return all(atom.exact for monomial in self.terms for atom, _ in monomial)

    @property
    def is_named(self) -> bool:
        """Whether more of its atoms are pieced than anyone reads: all are then named."""
        return sum(1 for term in self.terms for atom, _ in term if atom.is_pieced) > _PIECED

    def bound(self) -> int:
        """The greatest bound of its atoms; 0: there is but one form."""
        if self.is_named:
            return 0
        return max((atom.bound() for term in self.terms for atom, _ in term), default=0)

    def long(self) -> Polynomial:
        """What it is for lengths of at least `bound()`; the same where it has but one form."""
        if self.is_named or all(map(_is_plain, self.terms)):
            return self
        products = []
        for monomial, coefficient in self.terms.items():
            product = constant(coefficient)
            for atom, power in monomial:
                for _ in range(power):
                    product = product * atom.long()
            products.append(product)
        return total(products)

    def closed(self, long: bool = False) -> sympy.Expr:
        """As a sympy expression, neither expanded nor simplified; `long`: of `long()`'s atoms."""
        import sympy

        terms = [
            sympy.Mul(_rational(coefficient), *(atom.closed(long) ** n for atom, n in monomial))
            for monomial, coefficient in self.terms.items()
        ]
        return sympy.Add(*terms)

    def write(self, long: bool = False, most: int | None = None) -> str:
        """The text of `closed(long)`: what sympy reads back, but for atoms that are named.

        most: terms that are written; of more the first and the last, and how many there are.
        """
        form: _Form = "named" if self.is_named else "long" if long else "closed"
        shown = shortened(_sorted(self.terms), most)
        terms = (
            _write(each, self.terms[each], form) if each is not None else "..." for each in shown
        )
        text = " + ".join(terms).replace("+ -", "- ") or "0"
        return f"{text} ({len(self.terms):,} terms, all in --json)" if None in shown else text


def _polynomial(value: Polynomial | Number) -> Polynomial:
    return value if isinstance(value, Polynomial) else constant(value)


def _is_plain(monomial: Monomial) -> bool:
    """Whether it is a power product of symbols."""
    return all(type(atom) is Symbol for atom, _ in monomial)


def _value(monomial: Monomial, coefficient: Number, lengths: Mapping[str, int]) -> Number:
    for atom, power in monomial:
        coefficient = coefficient * atom.evaluate(lengths) ** power
    return coefficient


def _without_zeros(terms: dict[Monomial, Number]) -> Polynomial:
    if 0 in terms.values():
        terms = {monomial: number for monomial, number in terms.items() if number}
    return Polynomial(terms)


def _times(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    if left[-1][0].name < right[0][0].name:
        return left + right
    if right[-1][0].name < left[0][0].name:
        return right + left
    powers: dict[Any, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0].name)))


def _within(monomial: Monomial, order: Order) -> bool:
    """Whether some choice of what bounds each atom is bounded by the order."""
    choices = product(*(atom.growths() for atom, n in monomial for _ in range(n)))
    return any(all(bounded(x, order) for x in products(choice)) for choice in choices)


def _sorted(monomials: Iterable[Monomial]) -> list[Monomial]:
    """By the power of their symbols, greatest first, then by name."""

    def key(monomial: Monomial) -> tuple[int, list[str]]:
        names = [str(atom.name) for atom, power in monomial for _ in range(power)]
        return -sum(isinstance(atom, Symbol) * power for atom, power in monomial), names

    return sorted(monomials, key=key)


_Form = Literal["closed", "long", "named"]


def _write(monomial: Monomial, coefficient: Number, form: _Form) -> str:
    """`3*B*text**2`; a fraction keeps its denominator at the end."""
    factors = [_factor(atom, form) + f"**{power}" * (power > 1) for atom, power in monomial]
    whole, over = coefficient.numerator, coefficient.denominator
    sign = "-" * (whole == -1 and bool(factors))
    number = [] if abs(whole) == 1 and factors else [str(whole)]
    return sign + "*".join([*number, *factors]) + f"/{over}" * (over > 1)


@lru_cache(maxsize=4096)
def _factor(atom: Atom, form: _Form) -> str:
    named = form == "named" or isinstance(atom, Symbol)
    return atom.name if named else f"({atom.closed(form == 'long')})"


def _rational(number: Number) -> Any:
    import sympy

    return sympy.Rational(number.numerator, number.denominator)


def constant(number: Number) -> Polynomial:
    """A polynomial without symbols."""
    return Polynomial({(): number} if number else {})


def variable(atom: Atom) -> Polynomial:
    """A polynomial that is one atom."""
    return Polynomial({((atom, 1),): 1})


def known_or_named(atom: Atom) -> Polynomial:
    """Of an atom without symbols: its number, or itself where that is not counted."""
    try:
        return constant(atom.evaluate({}))
    except NotCountedError:
        return variable(atom)


def total(polynomials: Iterable[Polynomial]) -> Polynomial:
    """The sum of polynomials."""
    result: dict[Monomial, Number] = {}
    for polynomial in polynomials:
        for monomial, coefficient in polynomial.terms.items():
            result[monomial] = result.get(monomial, 0) + coefficient
    return _without_zeros(result)


BATCH = variable(Symbol("B"))
