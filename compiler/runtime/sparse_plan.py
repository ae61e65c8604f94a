"""Plans of sparse attention: from the runs of keys that queries see to few calls of a kernel.

A plan is made once for each set of lengths: rectangles that many blocks share, bands
of equal blocks, blocks whose runs are laid side by side, or all at once where that is cheaper.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse_calls import ALL, Call, Part, Plan
from mmspec.compiler.runtime.sparse_groups import Groups, groups_of
from mmspec.compiler.runtime.sparse_parts import Parts, is_causal, parts_of
from mmspec.compiler.runtime.sparse_pattern import registered

_FINE = 32  # rows of a block where that leaves out enough
_NARROW = 1024  # keys for each query where it might
_TALL = 8  # blocks that share a rectangle
_WIDE = 256  # keys that make a rectangle worth a call
_MARGIN = 0.88  # of the dense cost: what sparse must be below, since the model may err
_LONG = 4  # blocks that make a run worth calls of its own
_LARGEST = 1 << 24  # pairs of a mask of all of them, where each batch has another


@lru_cache(maxsize=256)
def chosen(
    name: str,
    lengths: tuple[int, ...],
    sizes: tuple[int, int, int, int],
    rate: float = 1.0,
    native: bool = False,
) -> Plan | Groups:
    """The cheapest of the sparse plan and one call on everything, by a mask or as causal.

    sizes: heads of all samples, queries, keys, width. rate: what a pair of the one call costs
    beside one of the others. native: whether there is native code for the sparse plan.
    """
    return _cheapest(name, lengths, sizes, rate, native)


Samples = list[int] | slice
"""Of a batch."""


def plans(
    name: str,
    lengths: Sequence[int],
    spans: Tensor | None,
    sizes: tuple[int, int, int, int],
    rate: float = 1.0,
    native: bool = False,
) -> Iterator[tuple[Plan | Groups, Samples]]:
    """The plan of each sample that packs documents of its own, or that of all of them."""
    by_documents = registered(name).samples
    if by_documents is None or spans is None:
        yield chosen(name, tuple(lengths), sizes, rate, native), slice(None)
        return
    heads = sizes[0] // max(len(spans), 1)
    for documents, samples in by_documents(spans).items():
        given = (*lengths, documents), (heads * len(samples), *sizes[1:]), rate, native
        first, last = samples[0], samples[-1]
        together = last - first == len(samples) - 1
        yield _of_documents(name, *given), slice(first, last + 1) if together else samples


@lru_cache(maxsize=64)
def _of_documents(
    name: str,
    lengths: tuple[Hashable, ...],
    sizes: tuple[int, int, int, int],
    rate: float,
    native: bool,
) -> Plan | Groups:
    """As chosen; few are kept, since each batch has others."""
    return _cheapest(name, lengths, sizes, rate, native, most=_LARGEST)


def _cheapest(
    name: str,
    lengths: tuple[Hashable, ...],
    sizes: tuple[int, int, int, int],
    rate: float,
    native: bool,
    most: int | None = None,
) -> Plan | Groups:
    """most: pairs up to which all may be computed; None: any number."""
    heads, queries, keys, width = sizes
    sparse = _groups(name, lengths, queries) if native else _by_calls(name, lengths, sizes)
    causal = sparse.causal and queries == keys
    dense = Call(0, queries, ((0, keys, ALL if sparse.is_whole(keys) else 0),), causal=causal)
    if queries * keys == 0 or (most is not None and queries * keys > most):
        return sparse
    if sparse.cost(heads, width) < _MARGIN * rate * dense.cost(heads, width):
        return sparse
    return _dense_plan(name, lengths, dense)


def _by_calls(name: str, lengths: tuple[Hashable, ...], sizes: tuple[int, int, int, int]) -> Plan:
    """The cheaper of blocks as they come and finer ones."""
    heads, queries, _, width = sizes
    sparse = _sparse_plan(name, lengths, queries)
    if sparse.pairs > _NARROW * queries:
        return sparse
    finer = _sparse_plan(name, lengths, queries, _FINE)
    return min(sparse, finer, key=lambda plan: plan.cost(heads, width))


_groups = lru_cache(maxsize=64)(groups_of)


@lru_cache(maxsize=64)
def _sparse_plan(
    name: str, lengths: tuple[Hashable, ...], queries: int, rows: int | None = None
) -> Plan:
    """Calls on blocks as they come, or of so many rows where not all of their runs are whole."""
    pattern = registered(name)
    orders = pattern.orders(lengths)
    parts, tables = parts_of(pattern, lengths, orders, rows)
    causal = orders == (None, None) and is_causal(parts, tables, queries)
    rectangles, parts = _rectangles(parts)
    calls = _joined(rectangles) + _joined(_pieces(parts))
    return Plan(queries, tuple(_ordered(calls)), tables, orders, causal)


@lru_cache(maxsize=64)
def _dense_plan(name: str, lengths: tuple[Hashable, ...], call: Call) -> Plan:
    pattern = registered(name)
    orders = pattern.orders(lengths)
    parts, tables = parts_of(pattern, lengths, orders)
    seen_qk = torch.zeros(call.rows, call.keys, dtype=torch.bool)
    for (start, stop), seen in parts.items():
        for left, right, table in seen:
            seen_qk[start:stop, left:right] |= True if table == ALL else tables[table]
    for axis, order in enumerate(orders):
        if order is not None:
            seen_qk = seen_qk.index_select(axis, order.argsort())
    if not call.causal:
        call = replace(call, parts=((0, call.keys, ALL if bool(seen_qk.all()) else 0),))
    return Plan(call.rows, (call,), (seen_qk,), dense=True)


def whole(name: str, lengths: tuple[int, ...], queries: int, keys: int) -> Plan:
    """One call on everything by a mask."""
    return _dense_plan(name, lengths, Call(0, queries, ((0, keys, 0),)))


def _rectangles(parts: Parts) -> tuple[list[Call], Parts]:
    """Wide runs that several blocks see as a whole, and what is left of the parts."""
    calls: list[Call] = []
    left: Parts = {}
    keys = list(parts)
    for place in range(0, len(keys), _TALL):
        blocks = keys[place : place + _TALL]
        shared = _shared([parts[block] for block in blocks])
        start, stop = blocks[0][0], blocks[-1][1]
        if stop - start != sum(last - first for first, last in blocks):
            shared = []
        calls.extend(Call(start, stop - start, ((*span, ALL),)) for span in shared)
        left.update((block, _without(parts[block], shared)) for block in blocks)
    return calls, left


def _shared(blocks: list[list[Part]]) -> list[tuple[int, int]]:
    """Keys that every block sees as a whole, where they are many together."""
    common = [(0, 1 << 62)]
    for parts in blocks:
        whole = [(start, stop) for start, stop, table in parts if table == ALL]
        common = [
            (max(a[0], b[0]), min(a[1], b[1]))
            for a in common
            for b in whole
            if max(a[0], b[0]) < min(a[1], b[1])
        ]
    return [(start, stop) for start, stop in common if stop - start >= _WIDE]


def _without(parts: list[Part], spans: list[tuple[int, int]]) -> list[Part]:
    """The parts without the keys of some spans, each of which lies in one part."""
    for first, last in spans:
        cut: list[Part] = []
        for start, stop, table in parts:
            if start <= first and last <= stop:
                cut += [(start, first, table)] * (start < first) + [(last, stop, table)] * (
                    last < stop
                )
            else:
                cut.append((start, stop, table))
        parts = cut
    return parts


def _pieces(parts: Parts) -> list[Call]:
    """Calls for each block: a run that goes on for some blocks alone, all others as one."""
    rows = [
        [Call(start, stop - start, span) for span in _spans(seen)]
        for (start, stop), seen in parts.items()
    ]
    reach = _reach(rows)
    calls: list[Call] = []
    for row in rows:
        alone = [call for call in row if reach[call] >= _LONG]
        calls.extend(alone)
        others = tuple(part for call in row if reach[call] < _LONG for part in call.parts)
        if others:
            calls.append(Call(row[0].start, row[0].rows, others))
    return calls


def _reach(rows: list[list[Call]]) -> dict[Call, int]:
    """Through how many blocks in a row each run goes on, as far further each time."""
    chains: dict[Call, list[Call]] = {}
    for before, row in zip([[], *rows], rows, strict=False):
        for call in row:
            last = next((other for other in before if _goes_on(chains[other], call)), None)
            chains[call] = chains[last] if last else []
            chains[call].append(call)
    return {call: len(chain) for call, chain in chains.items()}


def _goes_on(chain: list[Call], call: Call) -> bool:
    """Whether a call follows the last of a chain as that followed the one before."""
    if not chain[-1].followed_by(call):
        return False
    starts = [each.parts[0][0] for each in (*chain[-2:], call)]
    return len(starts) < 3 or starts[2] - starts[1] == starts[1] - starts[0]


def _spans(parts: list[Part]) -> Iterator[tuple[Part, ...]]:
    """Parts that touch each other, together."""
    span: list[Part] = []
    for part in parts:
        if span and span[-1][1] != part[0]:
            yield tuple(span)
            span = []
        span.append(part)
    if span:
        yield tuple(span)


def _joined(calls: list[Call]) -> list[Call]:
    """Calls on neighbouring queries as one where they can be: rectangles, and bands."""
    done: list[Call] = []
    open_at: dict[int, list[Call]] = {}
    for call in sorted(calls, key=lambda call: call.start):
        for last in open_at.get(call.start, []):
            both = last.followed_by(call)
            if both:
                open_at[call.start].remove(last)
                call = both
                break
        open_at.setdefault(call.stop, []).append(call)
    for calls_there in open_at.values():
        done.extend(calls_there)
    return done


def _ordered(calls: list[Call]) -> Iterator[Call]:
    """The calls with the most rows first; each knows whether it is the first on all its rows."""
    touched = bytearray(max((call.stop for call in calls), default=0))
    for call in sorted(calls, key=lambda call: (-call.count * call.rows, call.start)):
        fresh = not any(touched[call.start : call.stop])
        touched[call.start : call.stop] = b"\1" * (call.stop - call.start)
        yield replace(call, fresh=fresh)
