"""Visible pairs of a mask, as an exact closed form in the lengths.

They are the signed sum of the sizes of the mask's cells, which are arithmetic series: n tokens
have n - d pairs at distance d. At known lengths `lines.py` counts them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import lcm
from typing import TYPE_CHECKING, Any, NamedTuple

from mmspec.compiler import ir
from mmspec.expressions.mask import Mask, unparse
from mmspec.verify.costs.cells import Cell, cells
from mmspec.verify.costs.orders import Order
from mmspec.verify.costs.polynomial import (
    Atom,
    Polynomial,
    Symbol,
    constant,
    known_or_named,
    total,
    variable,
)

if TYPE_CHECKING:
    import sympy

_PRINTED_PARTS = 64
_SUMMED_PARTS = 10**6


class Arithmetic(NamedTuple):
    """The same formulas for polynomials and for sympy."""

    low: Callable[[Any, Any], Any]
    reach: Callable[[int, Any], Any]
    """The smaller of a constant and a segment's length."""
    clip: Callable[[Any], Any]
    """A segment's length less a constant, at least 0."""


def _symbolic(long: bool) -> Arithmetic:
    """sympy's; `long`: every segment's length is past every constant."""
    if long:
        return Arithmetic(_low, lambda constant, size: constant, lambda size: size)
    return Arithmetic(_low, _low, lambda size: _high(size, 0))


@lru_cache(maxsize=4096)
def _low(one: Any, other: Any) -> Any:
    """Min of sympy, which would spend milliseconds on looking for a simpler form."""
    import sympy

    return sympy.Min(one, other, evaluate=False)


@lru_cache(maxsize=4096)
def _high(one: Any, other: Any) -> Any:
    """Max of sympy, as above."""
    import sympy

    return sympy.Max(one, other, evaluate=False)


def _square(cell: Cell, size: Any, low: Callable[[int, Any], Any]) -> Any:
    """Twice the pairs of a cell without blocks in a square of `size` tokens."""
    twice = 2 * size
    for reach in (cell.before, cell.after):
        if reach is None:
            twice = twice + size * (size - 1)
        elif reach:
            steps = low(reach, size)
            steps = steps // cell.step if cell.step > 1 else steps
            twice = twice + 2 * steps * size - cell.step * steps * (steps + 1)
    return twice


def _count(cell: Cell, size: Any, by: Arithmetic) -> Any:
    """Twice the pairs of a cell in a square of `size` tokens."""
    if not cell.blocks:
        return _square(cell, by.clip(size - cell.beyond) if cell.beyond else size, by.reach)
    period = lcm(*cell.blocks)
    start = -(-cell.beyond // period) * period
    twice: Any = 0
    for first, last in _parts(cell.blocks, cell.beyond, start):
        twice += _square(cell, by.clip(by.reach(last, size) - first), by.low)
    length = by.clip(size - start) if start else size
    twice = twice + length // period * _in_period(cell, period)
    return twice + _remainder(cell, period, length % period, by)


def _in_period(cell: Cell, period: int) -> int:
    """Twice the pairs of a cell in a period of its blocks."""
    from mmspec.verify.costs.cuts import lengths

    found = lengths(frozenset((size, 0) for size in cell.blocks), 0, period)
    return sum(many * int(_square(cell, size, min)) for size, many in found.items())


def _remainder(cell: Cell, period: int, rest: Any, by: Arithmetic) -> Any:
    """Twice the pairs of a cell in the `rest` tokens, fewer than a period, of blocks cut short."""
    if len(cell.blocks) == 1:
        return _square(cell, rest, by.low)
    parts = _parts(cell.blocks, 0, period)
    sizes = (_high(_low(last, rest) - first, 0) for first, last in parts)
    return sum(_square(cell, size, by.low) for size in sizes)


def _parts(blocks: tuple[int, ...], first: int, last: int) -> Iterator[tuple[int, int]]:
    """The parts into which all the blocks together cut the tokens from `first` to `last`."""
    if first >= last:
        return
    cuts = heapq.merge(*(range((first // n + 1) * n, last, n) for n in blocks))
    yield from ((a, b) for a, b in pairwise(_with_ends(first, cuts, last)) if a < b)


def _with_ends(first: int, cuts: Iterator[int], last: int) -> Iterator[int]:
    yield first
    yield from cuts
    yield last


@dataclass(frozen=True, slots=True)
class Visible(Atom):
    """Visible pairs of a segment with itself or another; a size is a symbol or a number."""

    query: str | int
    key: str | int
    square: bool
    mask: Mask

    @property
    def name(self) -> str:
        """`visible(text, image, global(count=1))`."""
        return f"visible({self.query}, {self.key}, {unparse(self.mask)})"

    def evaluate(self, lengths: Mapping[str, int]) -> int:
        """The number of pairs."""
        queries, keys = (x if isinstance(x, int) else lengths[x] for x in (self.query, self.key))
        found = cells(self.mask)
        if any(cell.blocks for cell, _ in found):
            from mmspec.verify.costs import lines

            return lines.counted(self.mask, queries, keys)
        left = ((max(queries - x.beyond, 0), max(keys - x.beyond, 0), x, n) for x, n in found)
        if self.square:
            return sum(number * int(_square(x, size, min)) for size, _, x, number in left) // 2
        return sum(number * rows * columns for rows, columns, _, number in left)

    def orders(self) -> frozenset[Order]:
        """What it grows like as the lengths grow."""
        found = _square_orders(self) if self.square else _rectangle_orders(self)
        past = {
            name: max(self.bound(), 1) for name in (self.query, self.key) if isinstance(name, str)
        }
        return found or frozenset({()} if self.evaluate(past) else ())

    @property
    def exact(self) -> bool:
        """Linear growth may be less where the parts of blocks are too many to sum."""
        return not any(_too_many_parts(cell) for cell, _ in cells(self.mask))

    def bound(self) -> int:
        """From this length on, the closed form for long segments holds."""
        bound = 0
        for cell, _ in cells(self.mask):
            reach = 0 if cell.blocks else max(cell.before or 0, cell.after or 0)
            period = lcm(*cell.blocks)
            bound = max(bound, -(-cell.beyond // period) * period + reach)
        return bound

    def closed(self, long: bool = False) -> sympy.Expr:
        """As a sympy expression; `long`: for lengths of at least `bound()`."""
        return _closed(self, long)

    def long(self) -> Polynomial:
        """For lengths of at least `bound()`: a polynomial, unless blocks are cut short."""
        if any(cell.blocks for cell, _ in cells(self.mask)):
            return variable(self)
        query, key = (
            x if isinstance(x, int) else variable(Symbol(x)) for x in (self.query, self.key)
        )
        by = Arithmetic(min, lambda reach, size: reach, lambda size: size)
        twice = (
            _count(cell, query, by) * number
            if self.square
            else _side(cell, query, by) * _side(cell, key, by) * (2 * number)
            for cell, number in cells(self.mask)
        )
        return total(twice) * Fraction(1, 2)


@lru_cache(maxsize=1024)
def _closed(atom: Visible, long: bool) -> sympy.Expr:
    import sympy

    query, key = (Symbol(x).closed() if isinstance(x, str) else x for x in (atom.query, atom.key))
    by = _symbolic(long)
    if atom.square and any(_many_parts(cell) for cell, _ in cells(atom.mask)):
        return sympy.Function(f"visible[{unparse(atom.mask)}]")(query)
    terms = [
        sympy.Rational(number, 2) * _count(cell, query, by)
        if atom.square
        else number * _side(cell, query, by) * _side(cell, key, by)
        for cell, number in cells(atom.mask)
    ]
    return sympy.expand(sympy.Add(*terms))


def _side(cell: Cell, size: Any, by: Arithmetic) -> Any:
    if isinstance(size, int):
        return max(size - cell.beyond, 0)
    return by.clip(size - cell.beyond) if cell.beyond else size


def _many_parts(cell: Cell) -> bool:
    return len(cell.blocks) > 1 and lcm(*cell.blocks) // cell.blocks[0] > _PRINTED_PARTS


def _too_many_parts(cell: Cell) -> bool:
    return bool(cell.blocks) and lcm(*cell.blocks) // cell.blocks[0] > _SUMMED_PARTS


def _square_orders(atom: Visible) -> frozenset[Order]:
    """Of a segment and itself: the first of its quadratic and linear coefficients that is not 0.

    Linear where the parts of blocks are too many to sum, which bounds it still.
    """
    if isinstance(atom.query, int):
        return frozenset()
    quadratic, linear = Fraction(0), Fraction(0)
    for cell, number in cells(atom.mask):
        a, b = (0, 0) if _too_many_parts(cell) else _leading(cell)
        quadratic, linear = quadratic + number * a, linear + number * b
    linear = linear or Fraction(any(_too_many_parts(cell) for cell, _ in cells(atom.mask)))
    if quadratic or linear:
        return frozenset({((atom.query, 2 if quadratic else 1),)})
    return frozenset()


def _leading(cell: Cell) -> tuple[Fraction, Fraction]:
    """Coefficients of n^2 and n (its mean over a period) in the pairs of a cell, n long."""
    if cell.blocks:
        period = lcm(*cell.blocks)
        return Fraction(0), Fraction(_in_period(cell, period), 2 * period)
    quadratic, linear = Fraction(0), Fraction(1)
    for reach in (cell.before, cell.after):
        if reach is None:
            quadratic += Fraction(1, 2)
            linear -= Fraction(1, 2)
        else:
            linear += reach // cell.step
    return quadratic, linear - 2 * quadratic * cell.beyond


def _rectangle_orders(atom: Visible) -> frozenset[Order]:
    """Of two segments: the product, else each side times what it sees of the other's first."""
    names = [(x, 1) for x in (atom.query, atom.key) if isinstance(x, str)]
    fixed = [x for x in (atom.query, atom.key) if isinstance(x, int)]
    parts = cells(atom.mask)
    everywhere: int = sum(number for _, number in parts)
    if len(names) == 2 and everywhere:
        return frozenset({tuple(sorted(names))})
    if fixed and names:
        seen = (number * max(fixed[0] - cell.beyond, 0) for cell, number in parts)
    else:
        seen = (number * cell.beyond for cell, number in parts)
    return frozenset((name,) for name in names) if sum(seen) else frozenset()


def visible(query: ir.Segment, key: ir.Segment, mask: Mask, sizes: tuple[Any, Any]) -> Polynomial:
    """Pairs visible in one head; `sizes`: the tokens of both, a symbol's name or a number."""
    square = query.geometry == key.geometry
    if all(isinstance(size, int) for size in sizes):
        return known_or_named(Visible(sizes[0], sizes[1], square, mask))
    if square and all(_is_polynomial(cell) for cell, _ in cells(mask)):
        tokens = variable(Symbol(sizes[0]))
        twice = (_square(cell, tokens, min) * number for cell, number in cells(mask))
        return total(twice) * Fraction(1, 2)
    if not square and not any(cell.beyond for cell, _ in cells(mask)):
        sides = [constant(x) if isinstance(x, int) else variable(Symbol(x)) for x in sizes]
        return sides[0] * sides[1] * sum(number for _, number in cells(mask))
    return variable(Visible(sizes[0], sizes[1], square, mask))


def _is_polynomial(cell: Cell) -> bool:
    return not (cell.beyond or cell.blocks or cell.before or cell.after)
