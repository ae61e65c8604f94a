"""In which order a segment's tokens stand, so that the tiles that a mask touches are few.

Line: as they come. Boxes: of a grid, so that a tile is a neighbourhood. Classes: tokens that see
none of another class stand together, and within a class another mask holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from mmspec.compiler.relations.loops.tiles import Tile
from mmspec.compiler.relations.meaning.definitions import is_closed
from mmspec.compiler.relations.meaning.geometry import Geometry, Size
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import And, Mask, Pattern, patterns

__all__ = ["TILE", "Boxes", "Classes", "Layout", "Line", "coordinates", "layout", "product"]

TILE: Final = 64
"""Queries and keys of a tile of a line."""

FULL: Final = Pattern("full")

_NEAR: Final = frozenset({"window2d", "window3d", "axial", "frame", "shifted_window"})
"""Patterns of grids that boxes suit."""


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
    if side in mask.queries and side in mask.keys and set(others) <= {FULL, Pattern("none")}:
        found = _classes(own, side.geometry)
        if found is not None:
            return found
    geometry = side.geometry
    plain = set(others) | {own} <= {FULL, Pattern("none")}
    if plain or len(geometry.axes) == 1 or not geometry.symbols:
        near = not plain and len(geometry.axes) > 1 and _names((own, *others)) & _NEAR
        return _boxes(geometry, _names((own, *others))) if near else Line()
    return _boxes(geometry, _names((own, *others)))


def _names(masks: Iterable[Mask]) -> frozenset[str]:
    return frozenset(pattern.name for mask in masks for pattern in patterns(mask))


def _boxes(geometry: Geometry, shown: frozenset[str]) -> Boxes:
    """Of 8 x 8 in one frame, or 4 x 4 x 4; of whole rows where no neighbours are sought."""
    columns = geometry.axes[-1].size
    every: tuple[int, int, int] = (4, 4, 4) if "window3d" in shown else (1, 8, 8)
    if isinstance(columns, int) and 0 < columns <= TILE and not shown & _NEAR:
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
    parts = list(_conjuncts(mask))
    if any(not isinstance(part, Pattern) for part in parts):
        return None
    found = [part for part in parts if isinstance(part, Pattern)]
    if len(geometry.axes) == 1:
        steps = {p.size("step") for p in found if p.name in ("dilated", "strided")}
        inner = [_within_class(part, min(steps)) for part in found] if len(steps) == 1 else [None]
        if None in inner:
            return None
        kept = [part for part in inner if part not in (FULL, None)]
        within = _all([part for part in kept if part is not None])
        return Classes(f"t % {min(steps)}", within, min(steps))
    if len(found) == 1 and found[0].name in ("shifted_window", "axial"):
        return Classes(_class_of(found[0], geometry), FULL)
    return None


def _conjuncts(mask: Mask) -> Iterator[Mask]:
    if isinstance(mask, And):
        yield from _conjuncts(mask.left)
        yield from _conjuncts(mask.right)
    else:
        yield mask


def _within_class(pattern: Pattern, step: int) -> Pattern | None:
    """What a pattern says of every step-th token, by their places."""
    if pattern.name in ("causal", "full", "none"):
        return pattern
    if pattern.name == "strided":
        return FULL
    if pattern.name == "dilated":
        reach = pattern.size("reach") // step
        return Pattern("window", (("before", reach), ("after", reach)))
    if pattern.name == "block" and pattern.size("size") % step == 0:
        return Pattern("block", (("size", pattern.size("size") // step),))
    if pattern.name == "window":
        ends = (("before", pattern.size("before")), ("after", pattern.size("after")))
        return Pattern("window", tuple((name, size // step) for name, size in ends))
    return None


def _all(masks: list[Pattern]) -> Mask:
    whole: Mask = masks[0] if masks else FULL
    for mask in masks[1:]:
        whole = And(whole, mask)
    return whole


def _class_of(pattern: Pattern, geometry: Geometry) -> str:
    """Source: which window, or which line along an axis."""
    parts, counts = [], []
    for name, axis in zip(geometry.names("t"), geometry.axes, strict=True):
        if pattern.name == "axial":
            if axis.name != pattern.get("axis"):
                parts.append(name)
                counts.append(str(axis.size))
            continue
        size, ahead = pattern.size("size"), -pattern.size("shift") % pattern.size("size")
        split = axis.name != "frame"
        parts.append(f"({name} + {ahead}) // {size}" if split else name)
        most = axis.size + ahead if isinstance(axis.size, int) else f"{axis.size} + {ahead}"
        counts.append(_tiles(most, size) if split else str(axis.size))
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
        text = f"{letter} // {stride}" if rest else letter
        found.append((name, f"{text} % {axis.size}" if place else text))
    return found
