"""What a mask shows, pair by pair: the formulas of docs/masks.md, on exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from mmspec.expressions.mask import Mask, Pattern, fold
from mmspec.verify.reference.places import Token

BLOCK: Final = 64
"""Tokens in a block of `random`."""
_WORD: Final = 2**64


Sees = Callable[[Token, Token], bool]


def visible(mask: Mask, q: Token | int, k: Token | int) -> bool:
    """Whether a query sees a key; an int is the index of a token that stands on a line."""
    query = Token(q) if isinstance(q, int) else q
    key = Token(k) if isinstance(k, int) else k
    return sight(mask)(query, key)


@lru_cache(maxsize=512)
def sight(mask: Mask) -> Sees:
    """Whether a query sees a key, for many of them."""

    def hidden(operand: Sees) -> Sees:
        return lambda q, k: not operand(q, k)

    def both(one: Sees, other: Sees) -> Sees:
        return lambda q, k: one(q, k) and other(q, k)

    def either(one: Sees, other: Sees) -> Sees:
        return lambda q, k: one(q, k) or other(q, k)

    return fold(mask, _of_pattern, hidden, both, either)


def _of_pattern(pattern: Pattern) -> Sees:
    if pattern.name in ("window2d", "window3d", "axial", "frame", "shifted_window"):
        return _in_space(pattern)
    if pattern.name in ("within", "document", "random"):
        return lambda q, k: _beyond_order(pattern, q, k)
    return _in_order(pattern)


def _in_order(pattern: Pattern) -> Sees:
    """Patterns of two indices."""
    if pattern.name in ("full", "none"):
        return lambda q, k: pattern.name == "full"
    if pattern.name == "causal":
        return lambda q, k: k.index <= q.index
    if pattern.name == "window":
        before, after = pattern.size("before"), pattern.size("after")
        return lambda q, k: -after <= q.index - k.index <= before
    if pattern.name == "dilated":
        step, reach = pattern.size("step"), pattern.size("reach")
        return lambda q, k: abs(q.index - k.index) <= reach and (q.index - k.index) % step == 0
    if pattern.name == "strided":
        step = pattern.size("step")
        return lambda q, k: (q.index - k.index) % step == 0
    if pattern.name == "block":
        size = pattern.size("size")
        return lambda q, k: q.index // size == k.index // size
    if pattern.name == "prefix":
        length = pattern.size("length")
        return lambda q, k: k.index < length
    assert pattern.name == "global", pattern.name
    count = pattern.size("count")
    return lambda q, k: q.index < count or k.index < count


def _in_space(pattern: Pattern) -> Sees:
    """Patterns of rows, columns and frames."""
    if pattern.name == "axial":
        axis = pattern.get("axis")
        return lambda q, k: all(apart == 0 for name, apart in _apart(q, k) if name != axis)
    if pattern.name == "frame":
        return lambda q, k: q.along("frame") == k.along("frame")
    if pattern.name == "window3d":
        radius = pattern.size("radius")
        return lambda q, k: all(apart <= radius for _, apart in _apart(q, k))
    if pattern.name == "window2d":
        radius = pattern.size("radius")
        return lambda q, k: all(
            apart <= (0 if name == "frame" else radius) for name, apart in _apart(q, k)
        )
    size, shift = pattern.size("size"), pattern.size("shift")
    return lambda q, k: all(
        one == other if name == "frame" else (one - shift) // size == (other - shift) // size
        for name, one, other in _along(q, k)
    )


def _along(q: Token, k: Token) -> Iterator[tuple[str, int, int]]:
    """Where both are along each axis that both have; on a line, by index."""
    if not q.at:
        yield "index", q.index, k.index
    there = dict(k.at)
    for name, place in q.at:
        if name in there:
            yield name, place, there[name]


def _apart(q: Token, k: Token) -> Iterator[tuple[str, int]]:
    """How far they are from one another along each axis that both have."""
    return ((name, abs(one - other)) for name, one, other in _along(q, k) if name != "index")


def _beyond_order(pattern: Pattern, q: Token, k: Token) -> bool:
    """Patterns of times, of documents, and of chance."""
    if pattern.name == "document":
        return q.document == k.document
    if pattern.name == "within":
        assert q.time is not None and k.time is not None
        duration = pattern.get("duration")
        assert not isinstance(duration, str)
        return abs(q.time - k.time) <= duration
    blocks = -(-k.most // BLOCK)
    return k.index // BLOCK in _drawn(pattern, q.index // BLOCK, blocks)


@lru_cache(maxsize=512)
def _drawn(pattern: Pattern, block: int, blocks: int) -> frozenset[int]:
    """The blocks of keys that a block of queries sees, of so many."""
    count, seed = pattern.size("blocks"), pattern.size("seed")
    if count >= blocks:
        return frozenset(range(blocks))
    taken: set[int] = set()
    for t in range(count):
        top = blocks - count + t
        x = _mix(_mix(_mix(seed) ^ block) ^ t) % (top + 1)
        taken.add(top if x in taken else x)
    return frozenset(taken)


def _mix(state: int) -> int:
    """The output of SplitMix64 (Steele, Lea and Flood 2014) at a state."""
    z = (state + 0x9E3779B97F4A7C15) % _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _WORD
    return z ^ (z >> 31)
