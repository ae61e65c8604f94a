"""Visible pairs of a mask, as an exact closed form in the lengths.

Every pattern is a signed sum of *cells*, and the meet of two cells is a cell:

    cell := {(q, k): -after <= q - k <= before, step divides q - k,
                     q and k share a part of every block size, q >= beyond, k >= beyond}

so a mask is a polynomial whose products are meets: A & B = A*B, A | B = A + B - A*B, ~A = 1 - A,
and its visible pairs are the sum of its cells' sizes, which are arithmetic series.
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
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern, unparse
from mmspec.verify.costs.polynomial import Order, Polynomial, Symbol, constant, variable

if TYPE_CHECKING:
    import sympy

_PRINTED_PARTS = 64
_SUMMED_PARTS = 10**6


@dataclass(frozen=True, slots=True)
class Cell:
    """A set of pairs (see above); `before` and `after` None: as far as the segment goes."""

    before: int | None = None
    after: int | None = None
    step: int = 1
    blocks: tuple[int, ...] = ()
    beyond: int = 0


Cells = tuple[tuple[Cell, int], ...]
EVERYTHING: Cells = ((Cell(), 1),)


def _meet(one: Cell, other: Cell) -> Cell:
    before, after = _least(one.before, other.before), _least(one.after, other.after)
    blocks = _finest({*one.blocks, *other.blocks})
    return _canonical(
        before, after, lcm(one.step, other.step), blocks, max(one.beyond, other.beyond)
    )


def _least(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def _finest(sizes: set[int]) -> tuple[int, ...]:
    """Block sizes without those that another one divides, whose parts lie within."""
    return tuple(
        sorted(n for n in sizes if not any(n % finer == 0 for finer in sizes if finer != n))
    )


def _canonical(
    before: int | None, after: int | None, step: int, blocks: tuple[int, ...], beyond: int
) -> Cell:
    """The cell, written the one way in which equal cells are equal."""
    if blocks:
        before, after = (_least(reach, blocks[0] - 1) for reach in (before, after))
    if step > 1:
        assert before is not None
        assert after is not None
        before, after = before // step * step, after // step * step
    if before == after == 0:
        return Cell(0, 0, 1, (), beyond)
    if blocks and step == 1:
        before, after = (None if reach == blocks[0] - 1 else reach for reach in (before, after))
    return Cell(before, after, step, blocks, beyond)


@lru_cache(maxsize=1024)
def cells(mask: Mask) -> Cells:
    """A mask as a signed sum of cells; () when no pair is ever visible."""
    if isinstance(mask, Pattern):
        return _pattern(mask)
    if isinstance(mask, Not):
        return _sum(EVERYTHING, cells(mask.operand), -1)
    left, right = cells(mask.left), cells(mask.right)
    both = _product(left, right)
    if isinstance(mask, And):
        return both
    assert isinstance(mask, Or)
    return _sum(_sum(left, right, 1), both, -1)


def _pattern(mask: Pattern) -> Cells:
    size = mask.size
    if mask.name == "none":
        return ()
    if mask.name == "full":
        return EVERYTHING
    if mask.name == "causal":
        return ((Cell(after=0), 1),)
    if mask.name == "window":
        return ((Cell(size("before"), size("after")), 1),)
    if mask.name == "dilated":
        reach = size("reach")
        return ((_canonical(reach, reach, size("step"), (), 0), 1),)
    if mask.name == "block":
        return ((_canonical(None, None, 1, (size("size"),), 0), 1),)
    assert mask.name == "global", mask.name
    return (*EVERYTHING, (Cell(beyond=size("count")), -1))


def _sum(left: Cells, right: Cells, sign: int) -> Cells:
    found = dict(left)
    for cell, count in right:
        found[cell] = found.get(cell, 0) + sign * count
    return tuple((cell, count) for cell, count in found.items() if count)


def _product(left: Cells, right: Cells) -> Cells:
    found: dict[Cell, int] = {}
    for one, a in left:
        for other, b in right:
            cell = _meet(one, other)
            found[cell] = found.get(cell, 0) + a * b
    return tuple((cell, count) for cell, count in found.items() if count)


class Arithmetic(NamedTuple):
    """The same formulas for ints and for sympy."""

    low: Callable[[Any, Any], Any]
    reach: Callable[[int, Any], Any]
    """The smaller of a constant and a segment's length."""
    clip: Callable[[Any], Any]
    """A segment's length less a constant, at least 0."""
    eager: bool
    """Stop at the length itself, which is a number."""


WHOLE = Arithmetic(min, min, lambda size: max(size, 0), True)


def _symbolic(long: bool) -> Arithmetic:
    """sympy's; `long`: every segment's length is past every constant."""
    import sympy

    if long:
        return Arithmetic(sympy.Min, lambda constant, size: constant, lambda size: size, False)
    return Arithmetic(sympy.Min, sympy.Min, lambda size: sympy.Max(size, 0), False)


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
    bound = min(start, size) if by.eager else start
    twice: Any = 0
    for first, last in _parts(cell.blocks, cell.beyond, bound):
        part = last - first if by.eager else by.clip(by.reach(last, size) - first)
        twice += _square(cell, part, by.low)
    if by.eager and size <= start:
        return twice
    length = by.clip(size - start) if start else size
    whole, rest = length // period, length % period
    if not by.eager or whole:
        each = sum(_square(cell, b - a, min) for a, b in _parts(cell.blocks, 0, period))
        twice = twice + whole * each
    return twice + _remainder(cell, period, rest, by)


def _remainder(cell: Cell, period: int, rest: Any, by: Arithmetic) -> Any:
    """Twice the pairs of a cell in the `rest` tokens, fewer than a period, of blocks cut short."""
    if by.eager:
        parts = _parts(cell.blocks, 0, rest)
        return sum(_square(cell, last - first, min) for first, last in parts)
    if len(cell.blocks) == 1:
        return _square(cell, rest, by.low)
    import sympy

    parts = _parts(cell.blocks, 0, period)
    sizes = (sympy.Max(0, sympy.Min(last, rest) - first) for first, last in parts)
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


def count(mask: Mask, queries: int, keys: int, square: bool) -> int:
    """Pairs that a mask lets see; `square`: queries and keys are one segment."""
    if square:
        assert queries == keys, (queries, keys)
        return sum(number * int(_count(cell, queries, WHOLE)) for cell, number in cells(mask)) // 2
    return sum(
        number * max(queries - cell.beyond, 0) * max(keys - cell.beyond, 0)
        for cell, number in cells(mask)
    )


@dataclass(frozen=True, slots=True)
class Visible:
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
        return count(self.mask, queries, keys, self.square)

    def orders(self) -> frozenset[Order]:
        """What it grows like as the lengths grow."""
        found = _square_orders(self) if self.square else _rectangle_orders(self)
        past = {name: self.bound() for name in (self.query, self.key) if isinstance(name, str)}
        return found or frozenset({()} if self.evaluate(past) else ())

    def bound(self) -> int:
        """From this length on, the closed form for long segments holds."""
        bound = 1
        for cell, _ in cells(self.mask):
            reach = 0 if cell.blocks else max(cell.before or 0, cell.after or 0)
            period = lcm(*cell.blocks)
            bound = max(bound, -(-cell.beyond // period) * period + reach)
        return bound

    def closed(self, long: bool = False) -> sympy.Expr:
        """As a sympy expression; `long`: for lengths of at least `bound()`."""
        import sympy

        sizes = [Symbol(x).closed() if isinstance(x, str) else x for x in (self.query, self.key)]
        by = _symbolic(long)
        if self.square and any(_many_parts(cell) for cell, _ in cells(self.mask)):
            return sympy.Function(f"visible[{unparse(self.mask)}]")(sizes[0])
        total: Any = sympy.Integer(0)
        for cell, number in cells(self.mask):
            if self.square:
                twice = sympy.sympify(_count(cell, sizes[0], by))
                total += sympy.Rational(number, 2) * twice
            else:
                total += number * _side(cell, sizes[0], by) * _side(cell, sizes[1], by)
        return sympy.expand(total)


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
        each = sum(_square(cell, b - a, min) for a, b in _parts(cell.blocks, 0, period))
        return Fraction(0), Fraction(int(each), 2 * period)
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
    if len(names) == 2 and sum(number for _, number in parts):
        return frozenset({tuple(sorted(names))})
    if fixed and names:
        slope = sum(number * max(fixed[0] - cell.beyond, 0) for cell, number in parts)
    else:
        slope = sum(number * cell.beyond for cell, number in parts)
    return frozenset((name,) for name in names) if slope else frozenset()


def visible(query: ir.Segment, key: ir.Segment, mask: Mask, sizes: tuple[Any, Any]) -> Polynomial:
    """Pairs visible in one head; `sizes`: the tokens of both, a symbol's name or a number."""
    square = query.name == key.name
    if all(isinstance(size, int) for size in sizes):
        return constant(count(mask, sizes[0], sizes[1], square))
    if square and all(_is_polynomial(cell) for cell, _ in cells(mask)):
        tokens = variable(Symbol(sizes[0]))
        twice = (_square(cell, tokens, min) * number for cell, number in cells(mask))
        return sum(twice, constant(0)) * Fraction(1, 2)
    if not square and not any(cell.beyond for cell, _ in cells(mask)):
        sides = [constant(x) if isinstance(x, int) else variable(Symbol(x)) for x in sizes]
        return sides[0] * sides[1] * sum(number for _, number in cells(mask))
    return variable(Visible(sizes[0], sizes[1], square, mask))


def _is_polynomial(cell: Cell) -> bool:
    return not (cell.beyond or cell.blocks or cell.before or cell.after)
