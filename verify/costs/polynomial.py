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
from itertools import combinations, groupby, product
from typing import TYPE_CHECKING, Any, Final, Literal

from mmspec.verify.uncounted import NotCountedError

if TYPE_CHECKING:
    import sympy

Number = int | Fraction
Order = tuple[tuple[str, int], ...]
"""A power product of symbols, such as (("text", 2),); () is 1."""

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


@dataclass(frozen=True, slots=True)
class Symbol(Atom):
    """The batch size "B", or the number of tokens of a modality, by its name."""

    name: str  # pyright: ignore[reportIncompatibleMethodOverride]

    def evaluate(self, lengths: Mapping[str, int]) -> int:
        """The length of that name."""
        return lengths[self.name]

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
        total: dict[Monomial, Number] = {}
        for left, a in self.terms.items():
            for right, b in _polynomial(other).terms.items():
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
            for atom, power in monomial:
                coefficient = coefficient * atom.evaluate(lengths) ** power
            total += coefficient
        return int(total) if total == int(total) else total

    def counted(self, lengths: Mapping[str, int]) -> tuple[Number, str]:
        """The exact value; or what it is at least, and why more is not known."""
        known: dict[Monomial, Number] = {}
        why = ""
        for monomial, coefficient in self.terms.items():
            try:
                known[()] = known.get((), 0) + Polynomial({monomial: coefficient}).evaluate(lengths)
            except NotCountedError as error:
                assert coefficient > 0, self
                why = why or error.reason
        return Polynomial(known).evaluate({}), why

    def orders(self) -> frozenset[Order]:
        """The power products that bound it, none of which another one bounds."""
        found: set[Order] = set()
        for monomial in self.terms:
            found |= _products([atom.orders() for atom, n in monomial for _ in range(n)])
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
        if self.is_named:
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

    def write(self, long: bool = False) -> str:
        """The text of `closed(long)`: what sympy reads back, but for atoms that are named."""
        form: _Form = "named" if self.is_named else "long" if long else "closed"
        terms = (_write(monomial, self.terms[monomial], form) for monomial in _sorted(self.terms))
        return " + ".join(terms).replace("+ -", "- ") or "0"


def _polynomial(value: Polynomial | Number) -> Polynomial:
    return value if isinstance(value, Polynomial) else constant(value)


def _without_zeros(terms: dict[Monomial, Number]) -> Polynomial:
    return Polynomial({monomial: number for monomial, number in terms.items() if number})


def _times(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Any, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0].name)))


def _products(factors: Iterable[frozenset[Order]]) -> frozenset[Order]:
    """The power products of a product, from those of its factors."""
    found = frozenset[Order]({()})
    for orders in factors:
        found = frozenset(_merge(a, b) for a in found for b in orders)
    return found


def _within(monomial: Monomial, order: Order) -> bool:
    """Whether some choice of what bounds each atom is bounded by the order."""
    choices = product(*(atom.growths() for atom, n in monomial for _ in range(n)))
    return any(all(bounded(x, order) for x in _products(choice)) for choice in choices)


def _merge(left: Order, right: Order) -> Order:
    powers = dict(left)
    for name, power in right:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


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


def _between(order: Order, by_names: Mapping[frozenset[str], set[Order]]) -> bool:
    """Two others multiply to its square, so the larger of them is at least it."""
    square = _merge(order, order)
    names = [name for name, _ in order]
    some = (frozenset(part) for n in range(len(names) + 1) for part in combinations(names, n))
    others = {x for part in some for x in by_names.get(part, ()) if x != order}
    return any(_merge(one, other) == square for one, other in combinations(others, 2))


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


def bounded(order: Order, by: Order) -> bool:
    """`order` is at most `by` for all lengths from 1 up."""
    powers = dict(by)
    return all(power <= powers.get(name, 0) for name, power in order)


def highest(orders: Iterable[Order]) -> frozenset[Order]:
    """Those of a sum that count: no other one bounds them, nor two others together."""
    return _highest(frozenset(orders))


@lru_cache(maxsize=256)
def _highest(orders: frozenset[Order]) -> frozenset[Order]:
    found: set[Order] = set()
    by_degree = groupby(sorted(orders, key=_degree, reverse=True), key=_degree)
    for _, same in by_degree:  # what bounds another one has a higher degree
        found |= {x for x in same if not any(bounded(x, y) for y in found)}
    by_names: dict[frozenset[str], set[Order]] = {}
    for x in found:
        by_names.setdefault(frozenset(name for name, _ in x), set()).add(x)
    return frozenset(x for x in found if not _between(x, by_names))


def _degree(order: Order) -> int:
    return sum(power for _, power in order)


def write_orders(orders: Iterable[Order]) -> str:
    """`O(B*text^2 + B*text*audio)`; `O(1)` when nothing grows, `0` when there is nothing."""
    products = [
        "*".join(name if power == 1 else f"{name}^{power}" for name, power in order) or "1"
        for order in sorted(orders, key=lambda order: (-sum(power for _, power in order), order))
    ]
    return f"O({' + '.join(products)})" if products else "0"


BATCH = variable(Symbol("B"))
