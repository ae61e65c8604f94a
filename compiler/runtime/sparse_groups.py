"""Plans for native code: groups of queries, and the keys that each of them meets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse_calls import ALL, Part
from mmspec.compiler.runtime.sparse_parts import Parts, is_causal, parts_of
from mmspec.compiler.runtime.sparse_pattern import Orders, registered

GROUP = 64
"""Most queries of a group."""

VECTOR = 16
"""Queries whose scores are computed together: those of a key that none of them sees are not."""

BLOCK = 8
"""Queries whose values are summed together: of a key that none of them sees they are not."""

# Costs in multiply-adds of the flash kernel on long queries without a mask, in float32: measured.
_START = 4e6  # of the operators, whatever they do
_PAIR = 0.68
_KEY = 14.0  # for each number of a key that a group meets
_ROW = 36.0  # for each number of a query that is read and of a result that is written


@dataclass(frozen=True, eq=False)
class Groups:
    """Queries in groups, and for each the keys that it sees as a whole or by a table."""

    queries: int
    first_query: Tensor
    """Places at which groups begin, and the end: int32."""
    first_part: Tensor
    """Where the parts of a group begin, and the end: int64."""
    parts: Tensor
    """[part, 3], int32: the first key; how many; where its table begins, or -1."""
    columns: Tensor
    """Of tables: how far a key is from the first of its part; int32."""
    seen: Tensor
    """Of tables: a bit for each query of the group that sees the key; int64."""
    orders: Orders = (None, None)
    """Which query and which key stands at each place: int32."""
    keys: int = 0
    """Keys that are there at least: native code would read beyond fewer."""
    met: int = 0
    """Keys that groups meet, of all of them together."""
    pairs: int = 0
    """Pairs of a query and a key that are computed, hidden ones too: mean of scores and sums."""
    causal: bool = False
    """Every query sees its own place and all before."""
    dense: ClassVar[bool] = False

    def is_whole(self, keys: int) -> bool:
        """Whether every query sees all of so many keys."""
        return not len(self.columns) and self.met == (len(self.first_query) - 1) * keys

    def cost(self, heads: int, width: int) -> float:
        """Multiply-adds that take as long as the whole."""
        return _START + self.work(heads, width)

    def work(self, heads: int, width: int) -> float:
        """Those of the native code alone."""
        return heads * width * (self.pairs * _PAIR + self.met * _KEY + self.queries * _ROW)


def groups_of(name: str, lengths: tuple[Hashable, ...], queries: int) -> Groups:
    """The groups of a pattern at some lengths."""
    pattern = registered(name)
    orders = pattern.orders(lengths)
    parts, tables = parts_of(pattern, lengths, orders, GROUP)
    causal = orders == (None, None) and is_causal(parts, tables, queries)
    assert all(stop <= queries for _, stop in parts), name
    parts = dict(_complete(parts, queries))
    if orders[0] is not None:
        places = _arrangement(parts, tables)
        orders = _arranged(orders[0], parts, places), orders[1]
        tables = tuple(seen[places] if len(seen) == GROUP else seen for seen in tables)
    packed = _packed(tables)
    first_part, flat, pairs = [0], [], 0
    for (start, stop), of_group in parts.items():
        computed = sum(-(-(stop - start) // size) * size for size in (VECTOR, BLOCK)) // 2
        for first, last, table in of_group:
            whole = last - first, ALL, (last - first) * computed
            count, at, of_part = whole if table == ALL else packed.tables[table]
            flat.append((first, count, at))
            pairs += of_part
        first_part.append(len(flat))
    return Groups(
        queries,
        torch.tensor([first for first, _ in parts] + [queries], dtype=torch.int32),
        torch.tensor(first_part),
        torch.tensor(flat, dtype=torch.int32).reshape(-1, 3),
        packed.columns,
        packed.seen,
        (_narrow(orders[0]), _narrow(orders[1])),
        max((last for seen in parts.values() for _, last, _ in seen), default=0),
        sum(count for _, count, _ in flat),
        pairs,
        causal,
    )


def _complete(parts: Parts, queries: int) -> Iterator[tuple[tuple[int, int], list[Part]]]:
    """The same, with blocks that see nothing where there are none."""
    done = 0
    for (start, stop), seen in (*parts.items(), ((queries, queries), [])):
        assert start >= done, "blocks of the same queries"
        yield from (((at, min(at + GROUP, start)), []) for at in range(done, start, GROUP))
        if start < stop:
            yield (start, stop), seen
        done = stop


def _arrangement(parts: Parts, tables: Sequence[Tensor]) -> Tensor:
    """In which order the queries of a full group stand, so that those of a vector see much alike,
    and those of a block more.

    Two of the six bits of a place say which vector it goes to, a third which block: in a box of
    4 x 4 x 4 that may be one of each coordinate.
    """
    uses = Counter(table for of_group in parts.values() for *_, table in of_group)
    place = torch.arange(GROUP)
    bits = [place >> bit & 1 for bit in reversed(range(GROUP.bit_length() - 1))]
    choices = torch.stack(
        [
            torch.argsort(((high * 2 + low) * 2 + last) * GROUP + place)
            for (high, low), last in product(combinations(bits, 2), bits)
            if last is not high and last is not low
        ]
    )  # first that of the places as they come: it stays where none is better
    costs = torch.zeros(len(choices), dtype=torch.int64)
    for table, seen_qk in enumerate(tables):
        if len(seen_qk) == GROUP:
            for size in (VECTOR, BLOCK):
                rows = seen_qk[choices].reshape(len(choices), -1, size, seen_qk.shape[1])
                costs += uses[table] * size * rows.any(2).sum((1, 2))
    return choices[int(costs.argmin())]


def _arranged(order: Tensor, parts: Parts, places: Tensor) -> Tensor:
    """An order in which the queries of each full group stand by their places."""
    order = order.clone()
    for start, stop in parts:
        if stop - start == GROUP:
            order[start:stop] = order[start:stop][places]
    return order


class _Packed(NamedTuple):
    """Tables one after another."""

    tables: list[tuple[int, int, int]]
    """How many keys each has, where it begins, and how many of its pairs are computed."""
    columns: Tensor
    seen: Tensor


def _packed(tables: Sequence[Tensor]) -> _Packed:
    """Of each table the keys that some query sees; those that the same queries see are neighbours,
    so that they are together where other blocks of queries pass over them.
    """
    found, columns, seen = [], [torch.empty(0, dtype=torch.int64)], []
    at = 0
    for seen_qk in tables:
        blocks_bk = torch.stack([rows.any(0) for rows in torch.split(seen_qk, BLOCK)])
        kinds_k = _bits(blocks_bk)
        column = kinds_k.argsort(stable=True)[int((kinds_k == 0).sum()) :]
        bits_k = _bits(seen_qk)
        found.append((len(column), at, _computed(seen_qk)))
        columns.append(column)
        seen.append(bits_k[column])
        at += len(column)
    return _Packed(found, torch.cat(columns).to(torch.int32), torch.cat(seen or columns))


def _computed(seen_qk: Tensor) -> int:
    """Pairs that are computed where so much is seen."""
    return (
        sum(
            size * int(rows.any(0).sum())
            for size in (VECTOR, BLOCK)
            for rows in torch.split(seen_qk, size)
        )
        // 2
    )


def _bits(rows: Tensor) -> Tensor:
    """Of each column a number with a bit for each row."""
    return (rows.long() << torch.arange(len(rows))[:, None]).sum(0)


def _narrow(order: Tensor | None) -> Tensor | None:
    return None if order is None else order.to(torch.int32)
