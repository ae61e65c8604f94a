"""How the tokens of a segment are spread over the tiles of a kernel: in a line, in boxes of a
grid, or class by class, as `relations/loops/arrangement.py` chooses. No token is moved for it:
a kernel computes where the tokens of its tile are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from mmspec.compiler.relations.loops.arrangement import Boxes, Classes, coordinates, layout, product
from mmspec.compiler.relations.loops.tiles import Tile
from mmspec.compiler.relations.meaning.geometry import Axis, Geometry, line
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import Mask, Pattern, patterns

__all__ = ["BoxPlace", "ClassPlace", "LinePlace", "Place", "place"]

_VECTORS: Final = {"q": ("queries", "asked", "i"), "k": ("keys", "exist", "j")}
"""By letter: the tokens of a tile, whether they are there, and the index of the tile."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What every place says of the segment that it holds."""

    side: Side

    @property
    def geometry(self) -> Geometry:
        """What formulas speak of."""
        return self.side.geometry


@dataclass(frozen=True, slots=True)
class LinePlace(_Place):
    """Tokens as they come."""

    tile: int

    @property
    def sides(self) -> Tile:
        """Of a tile, along what the tiles count."""
        return (self.tile,)

    def count(self) -> str:
        """Source: how many tiles there are."""
        return _parts(str(self.side.count), self.tile)

    def found(self, letter: str) -> Iterator[str]:
        """Statements that find a tile's indices from `tile`."""
        yield f"{_VECTORS[letter][2]} = tile"

    def tokens(self, letter: str, axis: str, formula: str) -> Iterator[str]:
        """Statements that name a tile's tokens, and what a formula says of them.

        axis: how the coordinates of a formula stand: `[:, None]` or `[None, :]`.
        """
        vector, there, index = _VECTORS[letter]
        yield f"{vector} = {_scaled(index, self.tile)} + tl.arange(0, {self.tile})"
        yield f"{there} = {vector} < {self.side.count}"
        known = dict(coordinates(self.geometry, letter))
        used = [name for name in known if _used(name, formula)]
        if used or (not known and _used(letter, formula)):
            yield f"{letter} = {vector}{axis}"
        yield from (f"{name} = {known[name]}" for name in used)


@dataclass(frozen=True, slots=True)
class BoxPlace(_Place):
    """Box by box of a grid."""

    sides: Tile

    def count(self) -> str:
        """As of a line."""
        return " * ".join(map(_factor, self._counts()))

    def _counts(self) -> list[str]:
        pairs = zip(self.geometry.axes, self.sides, strict=True)
        return [_parts(axis.size, side) for axis, side in pairs]

    def found(self, letter: str) -> Iterator[str]:
        """As of a line."""
        names = self.geometry.names(_VECTORS[letter][2])
        counts = [*map(_factor, self._counts())]
        for at, name in enumerate(names):
            rest = " * ".join(counts[at + 1 :])
            text = f"tile // ({rest})" if " " in rest else f"tile // {rest}" if rest else "tile"
            yield f"{name} = {text}" + (f" % {counts[at]}" if at else "")

    def tokens(self, letter: str, axis: str, formula: str) -> Iterator[str]:
        """As of a line."""
        vector, there, index = _VECTORS[letter]
        total = prod(self.sides)
        names, tiles = self.geometry.names(vector), self.geometry.names(index)
        yield f"{letter}_at = tl.arange(0, {total})"
        rest = total
        for name, tile, side in zip(names, tiles, self.sides, strict=True):
            whole, rest = rest, rest // side
            part = (
                "" if side == 1 else _element(f"{letter}_at", rest, side if whole != total else 0)
            )
            yield f"{name} = {_scaled(tile, side)}" + (f" + {part}" if part else "")
        flat = names[0]
        for name, one in zip(names[1:], self.geometry.axes[1:], strict=True):
            flat = f"{_factor(flat)} * {one.size} + {name}"
        yield f"{vector} = {flat}"
        inside = [*self._inside(names, vector)]
        yield f"{there} = {' & '.join(inside) if len(inside) > 1 else inside[0][1:-1]}"
        for name, formal, side in zip(names, self.geometry.names(letter), self.sides, strict=True):
            if _used(formal, formula):
                yield f"{formal} = {name}" + axis * (side > 1)

    def _inside(self, names: tuple[str, ...], vector: str) -> Iterator[str]:
        """That the coordinates exist: those that a box may pass, and the whole."""
        for name, axis, side in [*zip(names, self.geometry.axes, self.sides, strict=True)][1:]:
            if not isinstance(axis.size, int) or axis.size % side:
                yield f"({name} < {axis.size})"
        yield f"({vector} < {self.side.count})"


@dataclass(frozen=True, slots=True)
class ClassPlace(_Place):
    """Class by class; formulas speak of places within a class of `m` tokens."""

    tile: int
    classes: str
    """Source: how many there are."""
    members: str
    """Source: tokens of class `group`."""
    most: str
    """Source: tokens of the largest class."""
    token: str
    """Source: the token at place `{at}` of class `group`."""
    inner: Mask

    @property
    def geometry(self) -> Geometry:
        """What formulas speak of."""
        return line("m")

    @property
    def sides(self) -> Tile:
        """Of a tile, within a class."""
        return (self.tile,)

    def count(self) -> str:
        """As of a line."""
        return f"{_factor(self.classes)} * {_factor(_parts(self.most, self.tile))}"

    def found(self, letter: str) -> Iterator[str]:
        """As of a line; and which class."""
        yield f"per_class = {_parts(self.most, self.tile)}"
        yield "group = tile // per_class"
        yield f"m = {self.members}"
        yield f"{_VECTORS[letter][2]} = tile % per_class"

    def tokens(self, letter: str, axis: str, formula: str) -> Iterator[str]:
        """As of a line."""
        vector, there, index = _VECTORS[letter]
        at = f"{letter}_at"
        yield f"{at} = {_scaled(index, self.tile)} + tl.arange(0, {self.tile})"
        yield f"{vector} = {self.token.format(at=at)}"
        yield f"{there} = ({at} < m) & ({vector} < {self.side.count})"
        if _used(letter, formula):
            yield f"{letter} = {at}{axis}"


Place = LinePlace | BoxPlace | ClassPlace


def place(mask: SequenceMask, side: Side, tile: int) -> Place:
    """How tiles of so many tokens hold a segment."""
    assert side.count is not None, side
    found = layout(mask, side)
    if isinstance(found, Classes):
        own = mask.mask(side.name, side.name)
        made = _classes(found, own, side, tile)
        return made if made is not None else BoxPlace(side, _sides(side.geometry.axes, tile, False))
    if isinstance(found, Boxes):
        masks = [shown for a, b, shown in mask.pairs if side.name in (a, b)]
        deep = any(pattern.is_deep for one in masks for pattern in patterns(one))
        return BoxPlace(side, _sides(side.geometry.axes, tile, deep))
    return LinePlace(side, tile)


def _classes(found: Classes, own: Mask, side: Side, tile: int) -> ClassPlace | None:
    """Every so many-th token; or tokens along one axis of a grid."""
    total = str(side.count)
    if found.step is not None:
        step = found.step
        most = f"({total} + {step - 1}) // {step}"
        members = f"({total} - group + {step - 1}) // {step}"
        return ClassPlace(
            side, tile, str(step), members, most, f"{{at}} * {step} + group", found.inner
        )
    if not isinstance(own, Pattern) or own.line is None:
        return None
    axes = side.geometry.axes
    at = next(at for at, axis in enumerate(axes) if axis.name == own.line)
    stride = product([axis.size for axis in axes[at + 1 :]])
    length = str(axes[at].size)
    groups = f"{total} // {length}"
    if at == 0:
        token = f"{{at}} * {stride} + group"
    else:
        before = f"group // {stride} * ({stride} * {length}) + group % {stride}"
        token = f"{before} + {{at}} * {stride}" if stride != "1" else f"group * {length} + {{at}}"
    return ClassPlace(side, tile, groups, length, length, token, found.inner)


def _sides(axes: tuple[Axis, ...], tokens: int, deep: bool) -> Tile:
    """A box of so many tokens, as square as the grid allows; of several frames where `deep`."""
    sides = [1] * len(axes)
    room = [_power(axis.size) if isinstance(axis.size, int) else tokens for axis in axes]
    flat = list(range(len(axes)))[-2:]
    while prod(sides) < tokens:
        places = range(len(axes)) if deep else flat
        open_ = [at for at in places if sides[at] < room[at]]
        open_ = open_ or [at for at in range(len(axes)) if sides[at] < room[at]] or [flat[-1]]
        sides[min(reversed(open_), key=lambda at: sides[at])] *= 2
    return tuple(sides)


def _power(size: int) -> int:
    """The power of two that holds it."""
    return 1 << (max(size, 1) - 1).bit_length()


def _parts(size: int | str, side: int) -> str:
    """Source: how many tiles hold so many."""
    if isinstance(size, int):
        return str(-(-size // side))
    if size.isdigit():
        return str(-(-int(size) // side))
    if " " in size:
        size = f"({size})"
    return f"({size} + {side - 1}) // {side}" if side > 1 else size


def _factor(text: str) -> str:
    return f"({text})" if " " in text else text


def _element(name: str, rest: int, within: int) -> str:
    """Source: a coordinate within a box, of its elements."""
    text = name if rest == 1 else f"{name} // {rest}"
    return f"{text} % {within}" if within else text


def _scaled(index: str, side: int) -> str:
    return index if side == 1 else f"{index} * {side}"


def _used(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None
