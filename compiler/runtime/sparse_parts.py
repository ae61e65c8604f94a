"""What each block of queries of a pattern sees: parts of the keys, whole or by a table."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse_calls import ALL, Part
from mmspec.compiler.runtime.sparse_pattern import Orders, Pattern

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
    """The parts of each block of queries, and the distinct tables: there are few of them.

    rows: of how many queries blocks are at most, and then none has queries of another: pairs of
    segments may cut the same queries in other places.
    """
    found: dict[tuple[int, bytes], int] = {}
    tables: list[Tensor] = []
    parts: Parts = {}

    def table(seen_qk: Tensor) -> int:
        key = seen_qk.shape[1], seen_qk.numpy().tobytes()
        if key not in found:
            found[key] = len(tables)
            tables.append(seen_qk.clone())
        return found[key]

    def masked(seen_qk: Tensor, left: int) -> Iterator[Part]:
        some_k, every_k = seen_qk.any(dim=0).tolist(), seen_qk.all(dim=0).tolist()
        for at in range(0, len(some_k), _TABLE):
            columns = [k for k, some in enumerate(some_k[at : at + _TABLE]) if some]
            if columns:
                width = min(_TABLE, len(some_k) - at)
                first, last = _widened(columns[0], columns[-1] + 1, width)
                for start, stop in _parted(every_k, at + first, at + last):
                    whole = all(every_k[start:stop])
                    yield left + start, left + stop, ALL if whole else table(seen_qk[:, start:stop])

    blocks = list(pattern.blocks(*lengths))
    cuts = sorted({end for start, stop, _ in blocks for end in (start, stop)})
    for start, stop, runs in blocks:
        split = [(start, stop)] if rows is None else list(_split(start, stop, rows, cuts))
        shown = iter(_shown(pattern, lengths, orders, (start, stop), runs))
        for left, right, whole in runs:
            seen_qk = None if whole else next(shown)
            for first, last in split:
                into = parts.setdefault((first, last), [])
                if seen_qk is None:
                    into.append((left, right, ALL))
                else:
                    into.extend(masked(seen_qk[first - start : last - start], left))
    return {key: _fused(value) for key, value in sorted(parts.items())}, tuple(tables)


def _shown(
    pattern: Pattern,
    lengths: tuple[Hashable, ...],
    orders: Orders,
    block: tuple[int, int],
    runs: Sequence[tuple[int, int, bool]],
) -> Iterable[Tensor]:
    """Who of a block of queries sees whom of each run of keys that is not whole."""
    places = [(left, right) for left, right, whole in runs if not whole]
    if not places:
        return ()
    q, k = _tokens(orders[0], *block), torch.cat([_tokens(orders[1], *ends) for ends in places])
    seen_qk = pattern.sees(q[:, None], k, *lengths).expand(len(q), len(k))
    return torch.split(seen_qk, [right - left for left, right in places], dim=1)


def _split(start: int, stop: int, rows: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """A block in blocks of so many rows, each between two neighbours of the cuts."""
    for at in range(bisect_left(cuts, start), bisect_left(cuts, stop)):
        for first in range(cuts[at], cuts[at + 1], rows):
            yield first, min(first + rows, cuts[at + 1])


def _widened(first: int, last: int, width: int) -> tuple[int, int]:
    """Columns from a multiple of 16 to another: the kernel is faster on those."""
    return first // _EVEN * _EVEN, min(-(-last // _EVEN) * _EVEN, width)


def _parted(every_k: Sequence[bool], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Columns that all see at both ends apart from the rest, so that blocks alike look alike."""
    mixed = [k for k in range(start, stop) if not every_k[k]]
    if not mixed:
        yield start, stop
        return
    first = start + (mixed[0] - start) // _EVEN * _EVEN
    last = min(start + -(-(mixed[-1] + 1 - start) // _EVEN) * _EVEN, stop)
    yield from ((a, b) for a, b in ((start, first), (first, last), (last, stop)) if a < b)


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
