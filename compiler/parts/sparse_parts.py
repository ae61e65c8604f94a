"""What each block of queries of a pattern sees: parts of the keys, whole or by a table."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from mmspec.compiler.parts.sparse_calls import ALL, Part
from mmspec.compiler.parts.sparse_pattern import Orders, Pattern

_TABLE = 64  # keys in a table
_EVEN = 16  # keys that the columns of a table begin and end at

Parts = dict[tuple[int, int], list[Part]]
"""By the first query of a block and the one after its last."""


def parts_of(
    pattern: Pattern,
    lengths: tuple[Hashable, ...],
    orders: Orders,
    rows: int | None = None,
) -> tuple[Parts, tuple[Tensor, ...]]:
    """The parts of each block of queries, and the distinct tables: there are few of them."""
    found: dict[tuple[int, bytes], int] = {}
    tables: list[Tensor] = []
    parts: Parts = {}

    def table(seen_qk: Tensor) -> int:
        if seen_qk.all():
            return ALL
        key = seen_qk.shape[1], seen_qk.numpy().tobytes()
        if key not in found:
            found[key] = len(tables)
            tables.append(seen_qk.clone())
        return found[key]

    def masked(seen_qk: Tensor, left: int) -> Iterator[Part]:
        for at in range(0, seen_qk.shape[1], _TABLE):
            tile = seen_qk[:, at : at + _TABLE]
            columns = tile.any(dim=0).nonzero()
            if len(columns):
                ends = _widened(int(columns[0]), int(columns[-1]) + 1, tile.shape[1])
                for first, last in _parted(tile[:, slice(*ends)]):
                    start, stop = ends[0] + first, ends[0] + last
                    yield left + at + start, left + at + stop, table(tile[:, start:stop])

    for start, stop, runs in pattern.blocks(*lengths):
        split = list(_split(start, stop, stop - start if rows is None else rows))
        q = _tokens(orders[0], start, stop)[:, None]
        for left, right, whole in runs:
            seen_qk = None if whole else pattern.sees(q, _tokens(orders[1], left, right), *lengths)
            for first, last in split:
                into = parts.setdefault((first, last), [])
                if seen_qk is None:
                    into.append((left, right, ALL))
                else:
                    seen = seen_qk.expand(stop - start, right - left)
                    into.extend(masked(seen[first - start : last - start], left))
    return {key: _fused(value) for key, value in sorted(parts.items())}, tuple(tables)


def _split(start: int, stop: int, rows: int) -> Iterator[tuple[int, int]]:
    """A block in blocks of so many rows."""
    for first in range(start, stop, max(rows, 1)):
        yield first, min(first + rows, stop)


def _widened(first: int, last: int, width: int) -> tuple[int, int]:
    """Columns from a multiple of 16 to another: the kernel is faster on those."""
    return first // _EVEN * _EVEN, min(-(-last // _EVEN) * _EVEN, width)


def _parted(seen_qk: Tensor) -> Iterator[tuple[int, int]]:
    """Columns that all see at both ends apart from the rest, so that blocks alike look alike."""
    width = seen_qk.shape[1]
    mixed = (~seen_qk.all(dim=0)).nonzero()
    if not len(mixed):
        yield 0, width
        return
    first = int(mixed[0]) // _EVEN * _EVEN
    last = min(-(-(int(mixed[-1]) + 1) // _EVEN) * _EVEN, width)
    yield from ((a, b) for a, b in ((0, first), (first, last), (last, width)) if a < b)


def _tokens(order: Tensor | None, start: int, stop: int) -> Tensor:
    """The tokens at some places."""
    return torch.arange(start, stop) if order is None else order[start:stop]


def _fused(parts: Iterable[Part]) -> list[Part]:
    """In order of the keys, neighbours that all see as one."""
    fused: list[Part] = []
    for start, stop, table in sorted(parts):
        if fused and table == ALL and fused[-1][1:] == (start, ALL):
            start = fused.pop()[0]
        fused.append((start, stop, table))
    return fused


def is_causal(parts: Parts, tables: Sequence[Tensor], queries: int) -> bool:
    """Whether every query sees its own place and all before."""
    done = 0
    for (start, stop), seen in parts.items():
        seen_qk = torch.zeros(stop - start, stop - start, dtype=torch.bool)
        known = 0  # keys that are seen from the first on, by all
        for left, right, table in seen:
            if table == ALL and left == known:
                known = right
            if right > stop or (left < start and known != right):
                return False
            at = max(left - start, 0)
            seen_qk[:, at : max(right - start, 0)] = True if table == ALL else tables[table]
        if done != start or known < start or not seen_qk.equal(torch.ones_like(seen_qk).tril()):
            return False
        done = stop
    return done == queries
