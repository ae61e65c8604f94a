"""Where tokens stand: their index, row and column, time and document, as masks speak of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a segment: its index, coordinates by name, time in seconds, document.

    most: how many tokens its segment can hold.
    """

    index: int
    at: tuple[tuple[str, int], ...] = ()
    time: Fraction | None = None
    document: int = 0
    most: int = 0

    def along(self, axis: str) -> int:
        """Its coordinate of that name."""
        return dict(self.at)[axis]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the tokens of a segment stand: one after another, or in a grid (sizes, slowest first).

    period: seconds from one to the next, of a grid from one to the next along its first axis;
    most: how many tokens there can be.
    """

    most: int
    grid: tuple[tuple[str, int], ...] = ()
    period: Fraction | None = None

    def token(self, index: int, document: int = 0) -> Token:
        """The token of an index."""
        rest, at = index, []
        for name, size in reversed(self.grid[1:]):
            rest, place = divmod(rest, size)
            at.append((name, place))
        at += [(name, rest) for name, _ in self.grid[:1]]
        time = None if self.period is None else rest * self.period
        return Token(index, tuple(reversed(at)), time, document, self.most)


@dataclass(frozen=True, slots=True)
class Side:
    """The tokens of one segment of a sample: how many, how they stand, the document of each."""

    name: str
    count: int
    layout: Layout
    documents: tuple[int, ...] = ()

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All of them; without `documents` they are of one."""
        documents = self.documents or (0,) * self.count
        return tuple(self.layout.token(i, documents[i]) for i in range(self.count))
