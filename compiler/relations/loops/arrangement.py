"""In which order a segment's tokens stand, so that the tiles that a mask touches are few.

Line: as they come. Boxes: of a grid, so that a tile is a neighbourhood. Classes: tokens that see
none of another class stand together, and within a class another mask holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

from mmspec.compiler.relations.loops.tiles import Tile
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.geometry import Geometry, Size
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, fold, meet, patterns
from mmspec.expressions.mask_patterns import SAME

__all__ = ["TILE", "Boxes", "Classes", "Layout", "Line", "coordinates", "layout", "product"]

TILE: Final = 64
"""Queries and keys of a tile of a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """Tokens as they come, in tiles of 64."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Box by box, each with so many tokens along each coordinate."""

    sides: Tile
    place: str
    """Source: the box of the token with these coordinates."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Class by class."""

    place: str
    """Source: the class of the token with these coordinates."""
    inner: Mask
    """Who sees whom within a class of `m` tokens, by their places in it."""
    step: int | None = None
    """Of a line whose every so many-th token is of one class."""


Layout = Line | Boxes | Classes


def layout(mask: SequenceMask, side: Side) -> Layout:
    """The order of a segment's tokens."""
    others = [m for a, b, m in mask.pairs if (a == side.name) != (b == side.name)]
    own = mask.mask(side.name, side.name)
    if not all(map(is_closed, (own, *others))):
        return Line()
    if side in mask.queries and side in mask.keys and set(others) <= {FULL, NONE}:
        found = _classes(own, side.geometry)
        if found is not None:
            return found
    geometry = side.geometry
    plain = set(others) | {own} <= {FULL, NONE}
    if plain or len(geometry.axes) == 1 or not geometry.symbols:
        near = not plain and len(geometry.axes) > 1 and _in_space(own, *others)
        return _boxes(geometry, (own, *others)) if near else Line()
    return _boxes(geometry, (own, *others))


def _in_space(*masks: Mask) -> bool:
    """Whether patterns of grids are among them, which boxes suit."""
    return any(pattern.facts.by == "grid" for mask in masks for pattern in patterns(mask))


def _boxes(geometry: Geometry, masks: tuple[Mask, ...]) -> Boxes:
    """Of 8 x 8 in one frame, or 4 x 4 x 4; of whole rows where no neighbours are sought."""
    columns = geometry.axes[-1].size
    deep = any(pattern.is_deep for mask in masks for pattern in patterns(mask))
    every: tuple[int, int, int] = (4, 4, 4) if deep else (1, 8, 8)
    if isinstance(columns, int) and 0 < columns <= TILE and not _in_space(*masks):
        every = 1, TILE // columns, columns
    sides: Tile = every[-len(geometry.axes) :]
    names = geometry.names("t")
    pairs = zip(names, sides, strict=True)
    parts = [name if side == 1 else f"{name} // {side}" for name, side in pairs]
    counts = [_tiles(axis.size, side) for axis, side in zip(geometry.axes, sides, strict=True)]
    return Boxes(sides, _joined(parts, counts))


def _tiles(size: Size, side: int) -> str:
    if isinstance(size, int):
        return str(-(-size // side))
    return size if side == 1 else f"(({size} + {side - 1}) // {side})"


def _joined(parts: list[str], counts: list[str]) -> str:
    """One number of several, row by row; what there is one of does not count."""
    text = parts[0]
    for part, count in zip(parts[1:], counts[1:], strict=True):
        if count != "1":
            text = f"({text}) * {count} + {part}" if " " in text else f"{text} * {count} + {part}"
    return text


def _classes(mask: Mask, geometry: Geometry) -> Classes | None:
    found = _conjuncts(mask)
    if found is None:
        return None
    if len(geometry.axes) == 1:
        steps = {step for pattern in found if (step := pattern.along().step) is not None}
        inner = [_within_class(part, min(steps)) for part in found] if len(steps) == 1 else [None]
        if None in inner:
            return None
        within: Mask = FULL
        for part in inner:
            within = within if part is None else meet(within, part)
        return Classes(f"t % {min(steps)}", within, min(steps))
    if len(found) == 1 and (found[0].is_windows or found[0].line is not None):
        return Classes(_class_of(found[0], geometry), FULL)
    return None


def _conjuncts(mask: Mask) -> tuple[Pattern, ...] | None:
    """The patterns of which a mask is the meet; None: it is none."""

    def both(one: _Patterns, other: _Patterns) -> _Patterns:
        return None if one is None or other is None else one + other

    return fold(mask, lambda pattern: (pattern,), lambda _: None, both, lambda *_: None)


_Patterns = tuple[Pattern, ...] | None


def _within_class(pattern: Pattern, step: int) -> Pattern | None:
    """What a pattern says of every step-th token, by their places."""
    if pattern.first is not None or pattern.facts.by not in ("nothing", "order"):
        return None
    rule = pattern.along()
    if rule.size is not None:
        fits = rule.size % step == 0
        return Pattern("block", (("size", rule.size // step),)) if fits else None
    if rule.before is None or rule.after is None:
        return pattern if rule.step is None else FULL
    ends = (("before", rule.before), ("after", rule.after))
    return Pattern("window", tuple((name, size // step) for name, size in ends))


def _class_of(pattern: Pattern, geometry: Geometry) -> str:
    """Source: which window, or which line along an axis."""
    parts, counts = [], []
    for name, axis in zip(geometry.names("t"), geometry.axes, strict=True):
        rule = pattern.along(axis.name)
        if rule == SAME:
            parts.append(name)
            counts.append(str(axis.size))
        elif rule.size is not None:
            ahead = -rule.begin % rule.size
            parts.append(f"({name} + {ahead}) // {rule.size}")
            most = axis.size + ahead if isinstance(axis.size, int) else f"{axis.size} + {ahead}"
            counts.append(_tiles(most, rule.size))
    return _joined(parts, counts)


def product(sizes: list[Size]) -> str:
    """Source: how many tokens, or rows, there are."""
    known = prod(size for size in sizes if isinstance(size, int))
    parts = [size for size in sizes if isinstance(size, str)]
    if known != 1 or not parts:
        parts.append(str(known))
    return " * ".join(parts)


def coordinates(geometry: Geometry, letter: str) -> list[tuple[str, str]]:
    """Coordinates of the token of an index `letter`: names and source."""
    names = geometry.names(letter)
    if len(names) == 1:
        return []
    found = []
    for place, (name, axis) in enumerate(zip(names, geometry.axes, strict=True)):
        rest = [axis.size for axis in geometry.axes[place + 1 :]]
        stride = product(rest)
        stride = f"({stride})" if " " in stride else stride
        text = letter if stride == "1" else f"{letter} // {stride}"
        found.append((name, f"{text} % {axis.size}" if place else text))
    return found
