"""Visible pairs of masks that are counted at given lengths only: random blocks, mostly.

Blocks that are drawn are few: a mask with random patterns shows what it shows without them, and
something else in the blocks that they draw, which are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from mmspec.compiler import ir
from mmspec.expressions.mask import Mask, unparse
from mmspec.verify.chance import changed
from mmspec.verify.costs.lines import counted, is_counted
from mmspec.verify.costs.orders import Order, bounded, highest
from mmspec.verify.costs.polynomial import (
    Atom,
    Polynomial,
    Symbol,
)
from mmspec.verify.seen import Side, seen, side
from mmspec.verify.uncounted import NotCountedError

if TYPE_CHECKING:
    import sympy

_ROWS: Final = 256
_FEW: Final = 2**20
"""Pairs that are looked at in any case."""

_MOST: Final = 1 << 31
"""Pairs that are looked at one by one: a few seconds of them."""


@dataclass(frozen=True, slots=True)
class Tabled(Atom):
    """Visible pairs of two segments; `without`: those that the mask shows if nothing is drawn.

    None: nothing is drawn, and no closed form was found.
    """

    query: ir.Segment
    key: ir.Segment
    mask: Mask
    without: Polynomial | None

    def __hash__(self) -> int:
        """What it is without draws follows from the rest."""
        return hash((self.query, self.key, self.mask))

    @property
    def name(self) -> str:
        """`visible(text, 64, random(blocks=2, seed=0))`."""
        sides = (str(x.tokens.symbol or x.tokens.max) for x in (self.query, self.key))
        return f"visible({', '.join(sides)}, {unparse(self.mask)})"

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of its lengths."""
        found = (x.tokens.symbol for x in (self.query, self.key))
        return tuple(dict.fromkeys(symbol for symbol in found if symbol))

    def evaluate(self, lengths: Mapping[str, int]) -> int:
        """The number of pairs."""
        known = {name: lengths[name] for name in self.symbols}
        return _evaluated(self, tuple(known.items()))

    def orders(self) -> frozenset[Order]:
        """What bounds it: each query sees at most so many blocks beside what else it sees."""
        if self.without is None:
            return frozenset({tuple(sorted(_powers(self)))})
        drawn_by = self.query.tokens.symbol
        return highest(self.without.orders() | {((drawn_by, 1),) if drawn_by else ()})

    @property
    def exact(self) -> bool:
        """It is, where what is seen without draws grows faster than what they can change."""
        if self.without is None or not self.without.exact:
            return False
        drawn_by = self.query.tokens.symbol
        most: Order = ((drawn_by, 1),) if drawn_by else ()
        return any(bounded(most, x) and x != most for x in self.without.orders())

    def closed(self, long: bool = False) -> sympy.Expr:
        """A function that is named and not written."""
        import sympy

        symbols = [Symbol(name).closed() for name in self.symbols]
        return sympy.Function(f"visible[{unparse(self.mask)}]")(*symbols)


def _powers(atom: Tabled) -> Iterator[tuple[str, int]]:
    symbols = [x.tokens.symbol for x in (atom.query, atom.key)]
    for symbol in dict.fromkeys(symbols):
        if symbol:
            yield symbol, symbols.count(symbol)


@lru_cache(maxsize=4096)
def _evaluated(atom: Tabled, known: tuple[tuple[str, int], ...]) -> int:
    lengths = dict(known)
    by_modality = {
        x.modality: lengths[x.tokens.symbol]
        for x in (atom.query, atom.key)
        if x.modality and x.tokens.symbol
    }
    query, key = side(atom.query, by_modality), side(atom.key, by_modality)
    if atom.without is None:
        return _looked_at(atom.mask, query, key)
    without = atom.without.evaluate(lengths)
    assert isinstance(without, int)
    return without + changed(atom.mask, query, key)[0]


def _looked_at(mask: Mask, query: Side, key: Side) -> int:
    """Pair by pair, where the mask is not one of lines. Raises NotCountedError."""
    of_lines = all(len(place.geometry.axes) == 1 for place in (query, key))
    pairs = query.stop * key.stop
    if of_lines and is_counted(mask) and pairs > _FEW:
        return counted(mask, query.stop, key.stop)
    if pairs > _MOST:
        raise NotCountedError(
            f"`{unparse(mask)}` has no closed form: {pairs:,} pairs would be looked at"
            f" one by one, more than {_MOST:,}",
            "take a shorter `length.max`, or patterns that overlap less",
        )
    starts = range(query.start, query.stop, _ROWS)
    parts = (seen(mask, query.part(row, row + _ROWS), key) for row in starts)
    return sum(int(np.count_nonzero(part)) for part in parts)
