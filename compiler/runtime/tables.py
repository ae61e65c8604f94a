"""Masks that are tables: packed documents and random blocks, as intervals of keys.

On a CPU a table cuts the runs of a formula; for a GPU it is lists of numbers that kernels read.
Both are made in time that grows with tokens, documents and blocks, never with pairs of tokens.
Queries and keys are counted in their own segments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mmspec.compiler.runtime.sparse_pattern import Run, Seen

BLOCK = 64
"""Tokens of a random block; the tiles of a plan's formulas have as many."""

Intervals = Sequence[tuple[int, int]]
"""Keys from start to stop: in order, and apart."""


class Table(Protocol):
    """Which keys the queries see, by intervals."""

    def cells(self, first: int, last: int) -> Iterator[tuple[int, int, Intervals]]:
        """Some queries as runs that see the same keys, and those keys."""
        ...


class Draw(NamedTuple):
    """Random blocks: for each of `rows` blocks of queries so many of those that can be there."""

    rows: int
    blocks: int
    there: int
    seed: int

    def cells(self, first: int, last: int) -> Iterator[tuple[int, int, Intervals]]:
        """As of every table."""
        for row in range(first // BLOCK, -(-last // BLOCK)):
            seen = [(place * BLOCK, place * BLOCK + BLOCK) for place in drawn(self)[row].tolist()]
            yield max(first, row * BLOCK), min(last, row * BLOCK + BLOCK), seen


@lru_cache(maxsize=64)
def drawn(draw: Draw) -> Tensor:
    """The blocks that each row sees, in order (R. Floyd's way): int64 [rows, blocks].

    Draw t of row i is below there - blocks + t + 1; where that block is taken already, the last
    of them is. So neither padding nor growth draws anew.
    """
    row_i = torch.arange(draw.rows)
    taken: list[Tensor] = []
    for turn in range(draw.blocks):
        number_i = _mixed(_mixed(_mixed(torch.full_like(row_i, draw.seed)) ^ row_i) ^ turn)
        top = draw.there - draw.blocks + turn
        half_i, last_i = number_i >> 1 & 0x7FFFFFFFFFFFFFFF, number_i & 1
        pick_i = (half_i % (top + 1) * 2 + last_i) % (top + 1)
        for other_i in taken.copy():
            pick_i = torch.where(pick_i == other_i, top, pick_i)
        taken.append(pick_i)
    return torch.stack(taken, 1).sort(1).values


def _mixed(number: Tensor) -> Tensor:
    """Numbers of 64 bits that look random: the output step of SplitMix64; products wrap."""
    number = number - 0x61C8864680B583EB
    number = (number ^ (number >> 30 & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    number = (number ^ (number >> 27 & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return number ^ (number >> 31 & 0x1FFFFFFFF)


@lru_cache(maxsize=64)
def lists(draws: tuple[Draw, ...], device: torch.device) -> Tensor:
    """Draws as kernels read them, one after another: int32.

    Of each the blocks of every row; where the rows of each block begin among all that see it, and
    the end of the last; those rows.
    """
    parts = []
    for draw in draws:
        place_n = drawn(draw).flatten()
        ends = place_n.bincount(minlength=draw.there).cumsum(0)
        row_n = place_n.argsort(stable=True) // draw.blocks
        parts += [place_n, ends.new_zeros(1), ends, row_n]
    return torch.cat(parts).to(torch.int32).to(device)


@dataclass(frozen=True)
class Documents:
    """The documents of one sample: what its queries see, from each place on where that changes."""

    starts: tuple[int, ...]
    seen: tuple[tuple[int, ...], ...]
    """Where a document begins and ends in each segment of keys, one after another."""

    def between(self, first: int, segment: int) -> Shared:
        """The table of a segment of queries, which begins at a place, and one of keys."""
        return Shared(self, first, segment)


class Shared(NamedTuple):
    """The table of the documents of two segments."""

    documents: Documents
    start: int
    segment: int

    def cells(self, first: int, last: int) -> Iterator[tuple[int, int, Intervals]]:
        """As of every table."""
        starts, seen = self.documents.starts, self.documents.seen
        at = bisect_right(starts, first + self.start) - 1
        while first < last:
            end = starts[at + 1] - self.start if at + 1 < len(starts) else last
            span = seen[at][2 * self.segment], seen[at][2 * self.segment + 1]
            yield first, min(end, last), [span] * (span[0] < span[1])
            first, at = end, at + 1


def samples(spans_bs2t: Tensor) -> dict[Documents, list[int]]:
    """The documents of a batch, and the samples that have them. See `document_spans`."""
    found: dict[Documents, list[int]] = {}
    for sample, span_ct in enumerate(spans_bs2t.flatten(1, 2)):
        changes = (span_ct[:, 1:] != span_ct[:, :-1]).any(0).nonzero()[:, 0] + 1
        starts = [0, *changes.tolist()] if span_ct.shape[1] else []
        seen = map(tuple, span_ct[:, starts].T.tolist())
        found.setdefault(Documents(tuple(starts), tuple(seen)), []).append(sample)
    return found


def tabled(
    runs: Callable[..., Iterable[Run]],
    literals: Sequence[tuple[Table, bool]],
    queries: range,
    keys: range,
    *lengths: int,
) -> Iterator[Seen]:
    """Blocks of a segment: `runs(i, *lengths)`, which counts in tiles, cut by tables.

    literals: tables, and whether a pair that is seen is in it, or is not.
    """
    for index, start in enumerate(range(0, len(queries), BLOCK)):
        found: list[Run] | None = None
        stop = min(start + BLOCK, len(queries))
        for first, last, seen in _cells(literals, start, stop, len(keys)):
            if found is None and seen:
                tiles = ((BLOCK * a, BLOCK * b, whole) for a, b, whole in runs(index, *lengths))
                found = [(a, min(b, len(keys)), whole) for a, b, whole in tiles if a < len(keys)]
            cut = [
                (keys.start + max(a, c), keys.start + min(b, d), whole)
                for a, b, whole in found or []
                for c, d in seen
                if max(a, c) < min(b, d)
            ]
            yield queries.start + first, queries.start + last, cut


def everything(index: int, keys: int) -> Iterator[Run]:
    """The run of a tile that sees all keys of a segment."""
    yield 0, -(-keys // BLOCK), True


def _cells(
    literals: Sequence[tuple[Table, bool]], first: int, last: int, keys: int
) -> Iterator[tuple[int, int, Intervals]]:
    """Some queries as runs that see the same keys by all literals."""
    if not literals:
        yield first, last, [(0, keys)]
        return
    (table, holds), *rest = literals
    for start, stop, seen in table.cells(first, last):
        own = seen if holds else _others(seen, keys)
        for begin, end, others in _cells(rest, start, stop, keys):
            both = [
                (max(a, c), min(b, d)) for a, b in own for c, d in others if max(a, c) < min(b, d)
            ]
            yield begin, end, both


def _others(seen: Intervals, keys: int) -> Intervals:
    """All other keys."""
    ends = [0, *(end for span in seen for end in span), keys]
    return [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]


def sees(table: Table, q: Tensor, k: Tensor) -> Tensor:
    """Whether a table shows keys to queries, which stand one after another: bool [q, k]."""
    seen_qk = torch.zeros(q.numel(), k.numel(), dtype=torch.bool)
    first = int(q.flatten()[0])
    for start, stop, seen in table.cells(first, first + q.numel()):
        for a, b in seen:
            seen_qk[start - first : stop - first] |= (a <= k) & (k < b)
    return seen_qk
