"""Masks drawn from their text, all pairs at once, by other means than the compiler's."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Given = Mapping[str, Any]
_NAMES = {
    "window": ("before", "after"),
    "dilated": ("step", "reach"),
    "strided": ("step",),
    "block": ("size",),
    "everyone": ("count",),
    "prefix": ("length",),
    "random": ("blocks", "seed"),
    "window2d": ("radius",),
    "window3d": ("radius",),
    "shifted_window": ("size", "shift"),
    "axial": ("axis",),
    "within": ("duration",),
}
_UNITS = {"us": Fraction(1, 10**6), "ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60)}


@dataclass(frozen=True)
class Places:
    """The tokens of a segment, `count` of at most `most`, as masks speak of them.

    shape: of the grid they fill row by row, with its names; period: seconds from one to the
    next along the first axis; documents: of each token, None: all of one.
    """

    count: int
    most: int
    shape: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    period: Fraction | None = None
    documents: Ints | None = None

    @property
    def index(self) -> Ints:
        """From 0."""
        return np.arange(self.count)

    @property
    def steps(self) -> Ints:
        """What a clock counts: the first coordinate of a grid, else the index."""
        return self.along(self.names[0]) if self.names else self.index

    def along(self, name: str) -> Ints:
        """The coordinate of that name of every token."""
        grid: Ints = np.indices(self.shape)[self.names.index(name)].reshape(-1)
        return grid[: self.count]


def evaluate(text: str, queries: Places, keys: Places) -> Bools:
    """A mask's text at every pair: bool [queries, keys]; Python's own grammar binds ~ & | alike."""
    text = re.sub(r"\bglobal\b", "everyone", text.strip())
    text = re.sub(r"([\d./]+) *(us|ms|s|min)\b", r"'\1 \2'", text)
    tree = ast.parse(text, mode="eval")
    whole = np.ones((queries.count, keys.count), dtype=np.bool_)
    seen: Bools = _evaluate(tree.body, queries, keys) & whole
    return seen


def _evaluate(node: ast.expr, q: Places, k: Places) -> Any:
    if isinstance(node, ast.UnaryOp):
        return ~_evaluate(node.operand, q, k)
    if isinstance(node, ast.BinOp):
        left, right = _evaluate(node.left, q, k), _evaluate(node.right, q, k)
        return left & right if isinstance(node.op, ast.BitAnd) else left | right
    name, given = _called(node)
    if name in _OTHERS:
        return _OTHERS[name](given, q, k)
    if name in _AXES and (q.names or name not in _LINES):
        return _on_grid(name, given, q, k)
    return _LINES[name](given, q.index[:, None], k.index[None, :])


def _called(node: ast.expr) -> tuple[str, dict[str, Any]]:
    """A pattern's name and its arguments by name: whole numbers, or words."""
    if isinstance(node, ast.Name):
        return node.id, {}
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name), ast.dump(node)
    order = _NAMES.get(node.func.id, ())
    given = {order[i]: _value(value) for i, value in enumerate(node.args)}
    given |= {str(word.arg): _value(word.value) for word in node.keywords}
    return node.func.id, given


def _value(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _seconds(text: str) -> Fraction:
    """Of `40 ms`, exact."""
    number, unit = text.split()
    above, _, below = number.partition("/")
    return Fraction(above) / Fraction(below or 1) * _UNITS[unit]


def _window(given: Given, q: Ints, k: Ints) -> Any:
    return (k >= q - given.get("before", 0)) & (k <= q + given.get("after", 0))


def _dilated(given: Given, q: Ints, k: Ints) -> Any:
    return (np.abs(q - k) <= given["reach"]) & (np.mod(q - k, given["step"]) == 0)


def _strided(given: Given, q: Ints, k: Ints) -> Any:
    return np.mod(q, given["step"]) == np.mod(k, given["step"])


def _block(given: Given, q: Ints, k: Ints) -> Any:
    return np.floor_divide(q, given["size"]) == np.floor_divide(k, given["size"])


def _everyone(given: Given, q: Ints, k: Ints) -> Any:
    return (q < given["count"]) | (k < given["count"])


def _same_parts(given: Given, q: Ints, k: Ints) -> Any:
    return _parts(q, given) == _parts(k, given)


def _parts(x: Ints, given: Given) -> Ints:
    """The window that each coordinate falls into."""
    edges: Ints = np.floor((x - given["shift"]) / given["size"]).astype(int)
    return edges


def _near(given: Given, q: Ints, k: Ints) -> Any:
    return abs(q - k) <= given["radius"]


def _anywhere(given: Given, q: Ints, k: Ints) -> Any:
    return np.ones(np.broadcast_shapes(q.shape, k.shape), dtype=np.bool_)


def _equal(given: Given, q: Ints, k: Ints) -> Any:
    return q == k


def _on_grid(name: str, given: Given, q: Places, k: Places) -> Any:
    """What is asked of each axis, of all of them together."""
    shared = [axis for axis in q.names if axis in k.names]
    asked = []
    for axis in shared:
        rule = _anywhere if given.get("axis") == axis else _AXES[name].get(axis, _equal)
        asked.append(rule(given, q.along(axis)[:, None], k.along(axis)[None, :]))
    return np.logical_and.reduce(asked)


def _same_document(given: Given, q: Places, k: Places) -> Any:
    documents = (np.zeros(s.count, int) if s.documents is None else s.documents for s in (q, k))
    return np.equal.outer(*documents)


def _within(given: Given, q: Places, k: Places) -> Any:
    """Times as whole numbers of the largest unit that divides all of them."""
    duration = _seconds(given["duration"])
    assert q.period is not None and k.period is not None
    unit = lcm(q.period.denominator, k.period.denominator, duration.denominator)
    ours, theirs = (side.steps * int(side.period * unit) for side in (q, k) if side.period)
    return np.abs(np.subtract.outer(ours, theirs)) <= int(duration * unit)


def _random(given: Given, q: Places, k: Places) -> Any:
    """Blocks of 64 are drawn for each block of queries, without looking at the others."""
    there, seed = -(-k.most // 64), np.uint64(given.get("seed", 0))
    drawn = np.zeros((-(-q.count // 64), there), dtype=np.bool_)
    count = min(given["blocks"], there)
    for row, chosen in enumerate(drawn):
        for t, top in enumerate(range(there - count, there)):
            number = _mixed(_mixed(_mixed(seed) ^ np.uint64(row)) ^ np.uint64(t))
            pick = int(number % np.uint64(top + 1))
            chosen[top if chosen[pick] else pick] = True
    return drawn[q.index[:, None] // 64, k.index[None, :] // 64]


def _mixed(state: np.uint64) -> np.uint64:
    """SplitMix64: 64 bits, products wrap round."""
    with np.errstate(over="ignore"):
        z = state + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        mixed: np.uint64 = z ^ (z >> np.uint64(31))
        return mixed


_LINES: dict[str, Callable[[Given, Ints, Ints], Any]] = {
    "full": _anywhere,
    "none": lambda given, q, k: ~_anywhere(given, q, k),
    "causal": lambda given, q, k: q >= k,
    "window": _window,
    "dilated": _dilated,
    "strided": _strided,
    "block": _block,
    "shifted_window": _same_parts,
    "prefix": lambda given, q, k: np.zeros_like(q) + k < given["length"],
    "everyone": _everyone,
}
"""By the index of both tokens."""

_AXES: dict[str, dict[str, Callable[[Given, Ints, Ints], Any]]] = {
    "window2d": {"row": _near, "column": _near},
    "window3d": {"row": _near, "column": _near, "frame": _near},
    "shifted_window": {"row": _same_parts, "column": _same_parts},
    "axial": {},
    "frame": {"row": _anywhere, "column": _anywhere},
}
"""By the coordinates of both along each axis of a grid, which are equal where it says nothing."""

_OTHERS: dict[str, Callable[[Given, Places, Places], Any]] = {
    "document": _same_document,
    "within": _within,
    "random": _random,
}
