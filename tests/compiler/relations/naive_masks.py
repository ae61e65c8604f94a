"""The formulas of docs/masks.md, evaluated pair by pair, and masks to try them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from hypothesis import strategies as st

from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern

Point = dict[str, int]
Given = dict[str, Any]


@dataclass(frozen=True)
class Token:
    """A token by its index, its coordinates by name, and its time in seconds."""

    index: int
    at: Point
    seconds: Fraction


def tokens(geometry: Geometry, lengths: dict[str, int]) -> list[Token]:
    sizes = [a.size if isinstance(a.size, int) else lengths[a.size] for a in geometry.axes]
    clock = geometry.clock or Clock(Fraction(0), Fraction(1))
    return [
        Token(
            index,
            dict(zip((axis.name for axis in geometry.axes), places, strict=True)),
            (clock.offset + places[0] * clock.period) / 1000,
        )
        for index, places in enumerate(product(*map(range, sizes)))
    ]


def sees(mask: Mask, q: Token, k: Token) -> bool:
    if isinstance(mask, And):
        return sees(mask.left, q, k) and sees(mask.right, q, k)
    if isinstance(mask, Or):
        return sees(mask.left, q, k) or sees(mask.right, q, k)
    if isinstance(mask, Not):
        return not sees(mask.operand, q, k)
    given = {name: value for name, value in mask.arguments}
    return FORMULAS[mask.name](given, q, k)


def _window(given: Given, q: Token, k: Token) -> bool:
    return bool(-given["after"] <= q.index - k.index <= given["before"])


def _dilated(given: Given, q: Token, k: Token) -> bool:
    apart = q.index - k.index
    return bool(abs(apart) <= given["reach"] and apart % given["step"] == 0)


def _box(given: Given, q: Token, k: Token, names: tuple[str, ...]) -> bool:
    return all(abs(q.at[name] - k.at[name]) <= given["radius"] for name in names)


def _window2d(given: Given, q: Token, k: Token) -> bool:
    return _box(given, q, k, ("row", "column")) and q.at.get("frame") == k.at.get("frame")


def _shifted(given: Given, q: Token, k: Token) -> bool:
    def part(x: int) -> int:
        return int((x - given["shift"]) // given["size"])

    if "token" in q.at:
        return part(q.index) == part(k.index)
    same = all(part(q.at[name]) == part(k.at[name]) for name in ("row", "column"))
    return same and q.at.get("frame") == k.at.get("frame")


def _axial(given: Given, q: Token, k: Token) -> bool:
    return all(q.at[name] == k.at[name] for name in q.at if name != given["axis"])


FORMULAS: dict[str, Callable[[Given, Token, Token], bool]] = {
    "full": lambda given, q, k: True,
    "none": lambda given, q, k: False,
    "causal": lambda given, q, k: k.index <= q.index,
    "window": _window,
    "dilated": _dilated,
    "strided": lambda given, q, k: (q.index - k.index) % given["step"] == 0,
    "block": lambda given, q, k: q.index // given["size"] == k.index // given["size"],
    "global": lambda given, q, k: q.index < given["count"] or k.index < given["count"],
    "prefix": lambda given, q, k: k.index < given["length"],
    "window2d": _window2d,
    "window3d": lambda given, q, k: _box(given, q, k, ("frame", "row", "column")),
    "shifted_window": _shifted,
    "axial": _axial,
    "frame": lambda given, q, k: q.at["frame"] == k.at["frame"],
    "within": lambda given, q, k: abs(q.seconds - k.seconds) <= given["duration"],
}


def pairs(
    mask: Mask, query: Geometry, key: Geometry, lengths: dict[str, int]
) -> set[tuple[int, int]]:
    """Visible pairs by index."""
    sides = tokens(query, lengths), tokens(key, lengths)
    return {(q.index, k.index) for q, k in product(*sides) if sees(mask, q, k)}


def boxes(
    geometry: Geometry, tile: tuple[int, ...], lengths: dict[str, int]
) -> tuple[list[set[int]], int]:
    """The tokens of each tile, tiles row by row; and how many a complete one has."""
    sizes = [a.size if isinstance(a.size, int) else lengths[a.size] for a in geometry.axes]
    counts = [-(-size // side) for size, side in zip(sizes, tile, strict=True)]
    found: dict[tuple[int, ...], set[int]] = {
        place: set() for place in product(*map(range, counts))
    }
    for token in tokens(geometry, lengths):
        place = tuple(x // side for x, side in zip(token.at.values(), tile, strict=True))
        found[place].add(token.index)
    return list(found.values()), prod(tile)


def classified(
    visible: set[tuple[int, int]],
    queries: tuple[list[set[int]], int],
    keys: tuple[list[set[int]], int],
) -> Iterator[tuple[int, int, str, bool]]:
    """Each pair of tiles: `none`, `some` or `all` of its pairs, and whether its queries all exist.

    `all` only where all keys of the tile exist.
    """
    (rows, tall), (columns, wide) = queries, keys
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            seen = sum((q, k) in visible for q in row for k in column)
            every = seen == len(row) * len(column) and len(column) == wide
            yield i, j, "all" if every else "some" if seen else "none", len(row) == tall


SMALL = st.integers(1, 7)
ANYWHERE = st.one_of(
    st.just(Pattern("full")),
    st.just(Pattern("none")),
    st.builds(lambda n: Pattern("global", (("count", n),)), SMALL),
    st.builds(lambda n: Pattern("prefix", (("length", n),)), SMALL),
)
IN_ORDER = st.one_of(
    st.just(Pattern("causal")),
    st.builds(
        lambda b, a: Pattern("window", (("before", b), ("after", a))),
        st.integers(0, 9),
        st.integers(0, 4),
    ),
    st.builds(
        lambda s, r: Pattern("dilated", (("step", s), ("reach", r))), SMALL, st.integers(1, 12)
    ),
    st.builds(lambda s: Pattern("strided", (("step", s),)), SMALL),
    st.builds(lambda s: Pattern("block", (("size", s),)), SMALL),
)
SHIFTED = st.builds(
    lambda size, shift: Pattern("shifted_window", (("size", size), ("shift", shift))),
    SMALL,
    st.integers(0, 9),
)
ON_GRID = st.one_of(
    st.builds(lambda r: Pattern("window2d", (("radius", r),)), st.integers(1, 3)),
    st.builds(lambda axis: Pattern("axial", (("axis", axis),)), st.sampled_from(["row", "column"])),
    SHIFTED,
)
IN_VOLUME = st.one_of(
    ON_GRID,
    st.builds(lambda r: Pattern("window3d", (("radius", r),)), st.integers(1, 2)),
    st.just(Pattern("axial", (("axis", "frame"),))),
    st.just(Pattern("frame")),
)
IN_TIME = st.builds(
    lambda n: Pattern("within", (("duration", Fraction(n, 1000)),)), st.integers(0, 300)
)


def combined(patterns: st.SearchStrategy[Pattern]) -> st.SearchStrategy[Mask]:
    """Masks of up to a few patterns."""
    return st.recursive(
        patterns,
        lambda masks: st.one_of(
            st.builds(And, masks, masks), st.builds(Or, masks, masks), st.builds(Not, masks)
        ),
        max_leaves=3,
    )


@dataclass(frozen=True)
class Case:
    """A mask between two segments, their lengths, and tiles."""

    mask: Mask
    query: Geometry
    key: Geometry
    lengths: dict[str, int]
    query_tile: tuple[int, ...]
    key_tile: tuple[int, ...]


LENGTH = st.one_of(st.integers(0, 6), st.integers(7, 29))
SIDE = st.integers(1, 8)


@st.composite
def lines(draw: st.DrawFn) -> Case:
    """Of one segment, or of two, with clocks or without."""
    periods = st.sampled_from([Fraction(10), Fraction(40), Fraction(125, 2), Fraction(20, 3)])
    clocks = [
        Clock(Fraction(draw(st.integers(0, 50))), draw(periods)) if draw(st.booleans()) else None
        for _ in range(2)
    ]
    two = draw(st.booleans())
    query = line("n", clocks[0])
    key = line("m", clocks[1]) if two else query
    timed = query.clock is not None and key.clock is not None
    mask = draw(combined(st.one_of(ANYWHERE, IN_ORDER, SHIFTED, *([IN_TIME] if timed else []))))
    lengths = {"n": draw(LENGTH), "m": draw(LENGTH)}
    return Case(mask, query, key, lengths, (draw(SIDE),), (draw(SIDE),))


@st.composite
def grids(draw: st.DrawFn) -> Case:
    """Images, videos and text, their sizes known or not."""
    lengths = {name: draw(st.integers(0, 6)) for name in ("h", "w", "n")}
    lengths["f"] = draw(st.integers(0, 3))
    width = draw(st.integers(1, 5))
    places: dict[Geometry, st.SearchStrategy[Pattern]] = {
        grid("h", "w"): st.one_of(st.just(Pattern("causal")), ON_GRID),
        grid("h", width): st.one_of(ANYWHERE, IN_ORDER, ON_GRID),
        volume("f", "h", "w"): IN_VOLUME,
        volume("f", 2, width): st.one_of(ANYWHERE, IN_VOLUME),
    }
    query = draw(st.sampled_from(list(places)))
    key = query
    mask = draw(combined(places[query]))
    if draw(st.integers(0, 3)) == 0 and query.strides() is not None:
        key, mask = line("n"), draw(combined(ANYWHERE))
    tiles = (tuple(draw(st.integers(1, 4)) for _ in side.axes) for side in (query, key))
    return Case(mask, query, key, lengths, *tiles)
