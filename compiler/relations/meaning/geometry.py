"""Coordinates of the tokens of a segment: a line, a grid, or frames of grids; when each happens.

Tokens are counted row by row, frame by frame: the last coordinate runs fastest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from keyword import iskeyword
from math import prod
from typing import Final

__all__ = ["Axis", "Clock", "Geometry", "Lengths", "Size", "grid", "line", "renamed", "volume"]

_TAKEN: Final = frozenset(
    "and ceil ceild exists false floor floord i implies infty j k max min mod nan not or q range"
    " runs tl true".split()
)
"""Words of isl, and names of the generated code."""

Size = int | str
"""A number of tokens, or the symbol of a length."""

Lengths = Mapping[str, int]
"""Lengths by symbol."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One coordinate: `token`, `frame`, `row` or `column`, from 0 to size - 1."""

    name: str
    size: Size

    def __post_init__(self) -> None:
        """Symbols become names in generated code; `n_text` of modality text is always one."""
        if isinstance(self.size, str):
            assert self.size.isidentifier() and not iskeyword(self.size), self.size
            assert self.size.isascii() and self.size.lower() not in _TAKEN, self.size
            assert not self.size.startswith(("_", "q_", "k_", "i_", "j_")), self.size
        else:
            assert self.size >= 0, self.size


@dataclass(frozen=True, slots=True)
class Clock:
    """Milliseconds of what the first coordinate counts: number t is at offset + t * period."""

    offset: Fraction
    period: Fraction

    def __post_init__(self) -> None:
        """Time passes."""
        assert self.period > 0, self.period


@dataclass(frozen=True, slots=True)
class Geometry:
    """The coordinates of a segment, slowest first."""

    axes: tuple[Axis, ...]
    clock: Clock | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The lengths it depends on."""
        return tuple(dict.fromkeys(a.size for a in self.axes if isinstance(a.size, str)))

    def place(self, name: str) -> int | None:
        """Which coordinate has that name."""
        names = [axis.name for axis in self.axes]
        return names.index(name) if name in names else None

    def sizes(self, lengths: Lengths) -> tuple[int, ...]:
        """Along each axis."""
        return tuple(a.size if isinstance(a.size, int) else lengths[a.size] for a in self.axes)

    def tokens(self, lengths: Lengths) -> int:
        """How many there are."""
        return prod(self.sizes(lengths))

    def lengths(self, tokens: int) -> dict[str, int]:
        """The lengths by symbol at which it holds so many tokens; at most one may be unknown."""
        symbols = [axis.size for axis in self.axes if isinstance(axis.size, str)]
        assert len(symbols) <= 1, "a product of lengths says little of each"
        rest = prod(axis.size for axis in self.axes if isinstance(axis.size, int))
        return {symbol: tokens // rest if rest else 0 for symbol in symbols}

    def strides(self) -> tuple[int, ...] | None:
        """Tokens from one of each coordinate to the next; None where lengths decide that."""
        strides = [1]
        for axis in reversed(self.axes[1:]):
            if isinstance(axis.size, str):
                return None
            strides.append(strides[-1] * axis.size)
        return tuple(reversed(strides))

    def coordinates(self, token: int, lengths: Lengths) -> tuple[int, ...]:
        """Of a token."""
        found = []
        for size in reversed(self.sizes(lengths)[1:]):
            token, last = divmod(token, size)
            found.append(last)
        return (token, *reversed(found))

    def names(self, letter: str) -> tuple[str, ...]:
        """Variables of its coordinates: `q`, or `q_row` and `q_column`."""
        if len(self.axes) == 1:
            return (letter,)
        return tuple(f"{letter}_{axis.name}" for axis in self.axes)

    def flat(self) -> Geometry:
        """The same tokens as a line; its size must be a number or one symbol."""
        sizes = [axis.size for axis in self.axes]
        symbols = [size for size in sizes if isinstance(size, str)]
        rest = prod(size for size in sizes if isinstance(size, int))
        assert not symbols or (len(sizes) == 1), "a product of lengths is no length"
        return line(symbols[0] if symbols else rest, self.clock)


def line(tokens: Size, clock: Clock | None = None) -> Geometry:
    """Tokens one after another; a clock ticks once a token."""
    return Geometry((Axis("token", tokens),), clock)


def grid(rows: Size, columns: Size, clock: Clock | None = None) -> Geometry:
    """Tokens row by row; a clock ticks once a row (a row of a spectrogram, say)."""
    return Geometry((Axis("row", rows), Axis("column", columns)), clock)


def volume(frames: Size, rows: Size, columns: Size, clock: Clock | None = None) -> Geometry:
    """Frames of rows of tokens; a clock ticks once a frame."""
    return Geometry((Axis("frame", frames), Axis("row", rows), Axis("column", columns)), clock)


def renamed(geometry: Geometry, names: Mapping[str, str]) -> Geometry:
    """Its symbols by other names: segments that differ by those alone become equal."""
    axes = (replace(axis, size=names.get(str(axis.size), axis.size)) for axis in geometry.axes)
    return replace(geometry, axes=tuple(axes))
