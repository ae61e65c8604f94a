"""Masks near a mask: each parameter moved to where tiles begin, and patterns with blocky borders.

Only multiples of a tile's side can make a block, a prefix or global tokens end where tiles do, and
a window touch no more tiles than it must; so those next to the given value are all that is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import Mask, Pattern, Value, meet, patterns, rewrite
from mmspec.verify.tune.order import Tiling

__all__ = ["moved", "replaced"]

_ENDS: Final = frozenset("before after reach size shift count length".split())
"""Arguments that say where something ends along a line."""


def _substituted(mask: Mask, by: dict[Pattern, Mask]) -> Mask:
    return rewrite(mask, lambda pattern: by.get(pattern, pattern))


def moved(mask: Mask, geometry: Geometry, tile: Tiling) -> Iterator[Mask]:
    """The mask with the numbers of one pattern moved to multiples below or above; then of all."""
    options = {p: _options(p, geometry, tile) for p in dict.fromkeys(patterns(mask))}
    for pattern, found in options.items():
        yield from (_substituted(mask, {pattern: one}) for one in found)
    for place in (0, -1):
        yield _substituted(mask, {p: found[place] for p, found in options.items() if found})


def _options(pattern: Pattern, geometry: Geometry, tile: Tiling) -> tuple[Pattern, ...]:
    """All numbers below first, all above last, and between them some moved and some not."""
    least = {p.name: p.least for p in pattern.facts.parameters}
    choices: list[list[Value]] = []
    for name, value in pattern.arguments:
        unit = _unit(pattern, name, geometry, tile)
        if not unit or not isinstance(value, int) or value % unit == 0:
            choices.append([value])
            continue
        below, above = value // unit * unit, -(-value // unit) * unit
        fits = below >= max(least[name], 1) or name == "shift"
        choices.append([below, value, above] if fits else [above, value, above])
    names = [name for name, _ in pattern.arguments]
    found = (
        Pattern(pattern.name, tuple(zip(names, values, strict=True)))
        for values in product(*choices)
    )
    return tuple(one for one in found if one != pattern)


def _unit(pattern: Pattern, argument: str, geometry: Geometry, tile: Tiling) -> int:
    """What a number should be a multiple of, so that what it bounds ends with a tile; or 0."""
    if pattern.facts.by == "grid" and len(geometry.axes) > 1:
        return max(tile.sides) if tile.kind == "boxes" else 0
    if argument not in _ENDS:
        return 0
    if tile.kind == "boxes":
        return 0 if pattern.slides else _band(geometry, tile)
    if tile.kind == "classes" and tile.pattern is not None:
        return tile.tokens * tile.pattern.size("step")
    return tile.tokens if tile.kind == "rows" else 0


def _band(geometry: Geometry, tile: Tiling) -> int:
    """The tokens of a row of boxes."""
    first = next(place for place, side in enumerate(tile.sides) if side > 1)
    sizes = [axis.size for axis in geometry.axes[first + 1 :]]
    found = tile.sides[first]
    for size in sizes:
        found *= size if isinstance(size, int) else 1
    return found


def replaced(mask: Mask, geometry: Geometry, tile: Tiling) -> Mask | None:
    """The mask with windows as blocks of as many keys, and all else ending with tiles; or None."""
    by: dict[Pattern, Mask] = {}
    for pattern in patterns(mask):
        if pattern.slides:
            blocky = _blocky(pattern, geometry, tile)
            if blocky is None:
                return None
            by[pattern] = blocky
        else:
            options = _options(pattern, geometry, tile)
            by[pattern] = options[-1] if options else pattern
    return _substituted(mask, by)


def _blocky(pattern: Pattern, geometry: Geometry, tile: Tiling) -> Mask | None:
    line, row = pattern.along(), pattern.along("row")
    if row.reach is not None and tile.kind == "boxes" and not pattern.is_deep:
        wide = _nearest(2 * row.reach + 1, max(tile.sides))
        return Pattern("shifted_window", (("size", wide), ("shift", 0)))
    if line.before is None or line.after is None:
        return None
    wide = line.before + line.after + 1
    if tile.kind == "rows" and line.step is None:
        return Pattern("block", (("size", _nearest(wide, tile.tokens)),))
    if tile.kind == "classes" and line.step is not None and tile.pattern is not None:
        size = _nearest(wide, line.step * tile.tokens)
        return meet(tile.pattern, Pattern("block", (("size", size),)))
    return None


def _nearest(value: int, unit: int) -> int:
    """The nearest multiple, at least one."""
    return max((value + unit // 2) // unit, 1) * unit
