"""Patterns over tensors of the coordinates of queries and keys, as Python source.

`q` is a column and `k` a row of indices; in grids also `q_row`, `k_column` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import gcd, lcm
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.relations.geometry import Geometry
from mmspec.expressions import mask as masks
from mmspec.expressions.mask import And, Mask, Not, Or, Pattern


def drawn(pattern: Pattern, query: ir.Segment, key: ir.Segment) -> str:
    """A call that draws the blocks of `random`."""
    draws = pattern.size("blocks"), -(-key.tokens.max // 64)
    return f"random_blocks({query.name}, {key.name}, {draws}, {pattern.size('seed')}, device)"


def statements(mask: Mask, query: ir.Segment, key: ir.Segment) -> Iterator[str]:
    """What names the coordinates that the patterns of a mask use."""
    names = {pattern.name for pattern in masks.patterns(mask)} - {"random"}
    if "document" in names:
        sides = f"{query.name}_document_bt[:, :, None]", f"{key.name}_document_bt[:, None]"
        yield f"q_document, k_document = {', '.join(sides)}"
    names -= {"document"}
    if names - {"prefix"}:
        yield f"q = torch.arange({query.name}, device=device)[:, None]"
    if names:
        yield f"k = torch.arange({key.name}, device=device)"
    used = set(re.findall(r"\b[qk]_[a-z]+", expression(mask, query, key)))
    for axis in ("frame", "row", "column"):
        ends = {f"q_{axis}": query.geometry, f"k_{axis}": key.geometry}
        found = {n: _coordinate(n[0], end, axis) for n, end in ends.items() if n in used}
        if found:
            yield f"{', '.join(found)} = {', '.join(found.values())}"


def _coordinate(letter: str, geometry: Geometry, axis: str) -> str:
    """A coordinate from the index: the last one runs fastest."""
    strides, place = geometry.strides(), geometry.place(axis)
    assert strides is not None and place is not None, geometry
    part = letter if strides[place] == 1 else f"{letter} // {strides[place]}"
    return part if place == 0 else f"{part} % {geometry.axes[place].size}"


def expression(mask: Mask, query: ir.Segment, key: ir.Segment) -> str:
    """A mask over the coordinates, as Python source; `&` and `|` of what is in parentheses."""
    if isinstance(mask, Not):
        return f"~({expression(mask.operand, query, key)})"
    if isinstance(mask, And | Or):
        sign = "&" if isinstance(mask, And) else "|"
        left, right = (expression(side, query, key) for side in (mask.left, mask.right))
        return f"({left}) {sign} ({right})"
    if mask.name == "random":
        return drawn(mask, query, key)
    return _PATTERNS[mask.name](mask, query.geometry, key.geometry)


def _window(pattern: Pattern, query: Geometry, key: Geometry) -> str:
    before, after = pattern.size("before"), pattern.size("after")
    return " & ".join(
        [
            "(k <= q)" if after == 0 else f"(k - q <= {after})",
            "(q <= k)" if before == 0 else f"(q - k <= {before})",
        ]
    )


def _dilated(pattern: Pattern, query: Geometry, key: Geometry) -> str:
    step, reach = pattern.size("step"), pattern.size("reach")
    return f"((q - k).abs() <= {reach}) & ((q - k) % {step} == 0)"


def _shared(query: Geometry, key: Geometry) -> tuple[str, ...]:
    """The coordinates that both have."""
    return tuple(axis.name for axis in query.axes if key.place(axis.name) is not None)


def _close(pattern: Pattern, names: tuple[str, ...]) -> str:
    radius = pattern.size("radius")
    return _every([f"(q_{name} - k_{name}).abs() <= {radius}" for name in names])


def _every(conditions: list[str]) -> str:
    """All of them, in parentheses where there are several."""
    if len(conditions) == 1:
        return conditions[0]
    return " & ".join(f"({condition})" for condition in conditions)


def _same_frame(query: Geometry, key: Geometry) -> list[str]:
    return ["q_frame == k_frame"] if "frame" in _shared(query, key) else []


def _window2d(pattern: Pattern, query: Geometry, key: Geometry) -> str:
    near = [f"(q_{n} - k_{n}).abs() <= {pattern.size('radius')}" for n in ("row", "column")]
    return _every([*_same_frame(query, key), *near])


def _shifted_window(pattern: Pattern, query: Geometry, key: Geometry) -> str:
    size = pattern.size("size")
    ahead = -pattern.size("shift") % size
    pairs = [("q", "k")]
    if len(query.axes) > 1:
        pairs = [(f"q_{name}", f"k_{name}") for name in ("row", "column")]
    parts = [f"{_part(q, ahead, size)} == {_part(k, ahead, size)}" for q, k in pairs]
    return _every([*_same_frame(query, key), *parts])


def _part(name: str, ahead: int, size: int) -> str:
    return f"({name} + {ahead}) // {size}" if ahead else f"{name} // {size}"


def _axial(pattern: Pattern, query: Geometry, key: Geometry) -> str:
    names = [name for name in _shared(query, key) if name != pattern.get("axis")]
    return _every([f"q_{name} == k_{name}" for name in names])


def _within(pattern: Pattern, query: Geometry, key: Geometry) -> str:
    """Times are counted in the largest unit in which all of them are whole."""
    duration = pattern.get("duration")
    assert isinstance(duration, int | Fraction) and query.clock and key.clock
    reach = Fraction(duration) * 1000
    offset = query.clock.offset - key.clock.offset
    times = (query.clock.period, key.clock.period)
    unit = lcm(*(time.denominator for time in (*times, offset)))
    q, k, start = (int(time * unit) for time in (*times, offset))
    common = gcd(q, k, start)
    q, k, start, most = q // common, k // common, start // common, reach * unit // common
    apart = f"{_times(q, _first('q', query))} - {_times(k, _first('k', key))}"
    if start:
        apart += f" + {start}" if start > 0 else f" - {-start}"
    return f"({apart}).abs() <= {most}"


def _first(letter: str, geometry: Geometry) -> str:
    """The coordinate that a clock counts."""
    return geometry.names(letter)[0]


def _times(factor: int, name: str) -> str:
    return name if factor == 1 else f"{factor} * {name}"


_PATTERNS: Final[dict[str, Callable[[Pattern, Geometry, Geometry], str]]] = {
    "causal": lambda pattern, query, key: "k <= q",
    "window": _window,
    "dilated": _dilated,
    "strided": lambda pattern, query, key: f"(q - k) % {pattern.size('step')} == 0",
    "block": lambda pattern, query, key: (
        f"q // {pattern.size('size')} == k // {pattern.size('size')}"
    ),
    "global": lambda pattern, query, key: (
        f"(q < {pattern.size('count')}) | (k < {pattern.size('count')})"
    ),
    "prefix": lambda pattern, query, key: f"k < {pattern.size('length')}",
    "document": lambda pattern, query, key: "q_document == k_document",
    "window2d": _window2d,
    "window3d": lambda pattern, query, key: _close(pattern, ("frame", "row", "column")),
    "shifted_window": _shifted_window,
    "axial": _axial,
    "frame": lambda pattern, query, key: "q_frame == k_frame",
    "within": _within,
}
