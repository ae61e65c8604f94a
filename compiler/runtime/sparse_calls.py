"""Calls of a kernel that make up a sparse attention, what each costs, and their masks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

Part = tuple[int, int, int]
"""Keys from start to stop, and their table of who sees whom; -1 where all see all."""

HIDDEN = -1e30  # not -inf: the kernel says log-sum-exp 0 of a row of those, and merging goes wrong
ALL = -1
_KEPT = 1 << 22  # numbers in the masks that a plan keeps
_BAND = 16  # blocks in a band
_SPREAD = 2048  # and their keys together: the gradients of those stay in the cache

# Costs in multiply-adds of the kernel on long queries without a mask, in float32: measured.
_START = 4e6  # of the operators, whatever they do
_CALL = 1.3e6
_MASKED = 1.15
_SHORT = 1.2  # for each pair where a call has less than 256 queries
_SHORTER = 1.4  # and where it has less than 64
_ROW = 55.0  # for each number of a result that is written or merged
_COPY = 40.0  # for each number of the keys and values that are laid side by side
_ORDER = 60.0  # for each number that is put in another order
_CORNER = 260  # pairs for each query of a causal call that are computed, but not seen


@dataclass(frozen=True)
class Call:
    """One call of the kernel: `count` times `rows` queries, each `shift` keys after the last."""

    start: int
    rows: int
    parts: tuple[Part, ...]
    count: int = 1
    shift: int = 0
    fresh: bool = True  # no call before wrote any of these rows
    causal: bool = False  # the kernel hides later keys: the only call, keys as many as queries

    @property
    def stop(self) -> int:
        return self.start + self.count * self.rows

    @cached_property
    def tables(self) -> tuple[tuple[int, int], ...]:
        """Width and table of each part: what the mask is made of."""
        return tuple((stop - start, table) for start, stop, table in self.parts)

    @cached_property
    def keys(self) -> int:
        return sum(width for width, _ in self.tables)

    @cached_property
    def masked(self) -> bool:
        return not self.causal and any(table != ALL for _, table in self.tables)

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """The keys of the first block as slices, touching parts as one."""
        spans: list[tuple[int, int]] = []
        for start, stop, _ in self.parts:
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, stop))
        return spans

    def cost(self, heads: int, width: int) -> float:
        """Multiply-adds that take as long, the call itself included."""
        if self.causal:
            seen = min(self.keys, self.keys / 2 + _CORNER)
            return _CALL + heads * width * self.rows * seen
        short = _SHORTER if self.rows < 64 else _SHORT if self.rows < 256 else 1.0
        pair = (_MASKED if self.masked else 1.0) * short
        numbers = self.count * self.rows * (self.keys * pair + _ROW)
        copied = self.keys * _COPY if len(self.spans) > 1 else 0.0
        return _CALL + heads * width * (numbers + copied)

    def followed_by(self, other: Call) -> Call | None:
        """Both as one call, if that can be."""
        shift = other.parts[0][0] - self.parts[0][0] - (self.count - 1) * self.shift
        apart = len(self.spans) > 1 or len(other.spans) > 1 or self.stop != other.start
        if apart or self.tables != other.tables:
            return None
        if not self.masked and self.count == 1 and shift == 0:
            return replace(self, rows=self.rows + other.rows)
        full = self.count == _BAND or (self.count + 1) * self.keys > _SPREAD
        if self.rows != other.rows or full:
            return None
        if shift != self.shift if self.count > 1 else shift < 0:
            return None
        return replace(self, count=self.count + 1, shift=shift)


@dataclass(frozen=True, eq=False)
class Plan:
    """The calls that compute an attention, and the tables that their masks are made of.

    orders: which query and which key stands at each place that calls count; None: as they come.
    """

    queries: int
    calls: tuple[Call, ...]
    tables: tuple[Tensor, ...]
    orders: tuple[Tensor | None, Tensor | None] = (None, None)
    causal: bool = False  # every query sees its own place and all before
    dense: bool = False  # one call on everything, in the order of the tokens
    _masks: dict[object, Tensor] = field(default_factory=dict)

    def is_whole(self, keys: int) -> bool:
        """Whether every query sees all of so many keys."""
        return self.pairs == self.queries * keys and not any(call.masked for call in self.calls)

    def cost(self, heads: int, width: int) -> float:
        """Multiply-adds that take as long as the whole."""
        moved = sum(len(order) for order in self.orders if order is not None)
        calls = sum(call.cost(heads, width) for call in self.calls)
        return _START + calls + heads * width * moved * _ORDER

    @cached_property
    def inverses(self) -> tuple[Tensor | None, Tensor | None]:
        """At which place each query and each key stands."""
        queries, keys = (None if order is None else order.argsort() for order in self.orders)
        return queries, keys

    @cached_property
    def _full(self) -> bool:
        """Whether every query of a dense plan sees a key."""
        return bool(self.tables[0].any(dim=1).all())

    @cached_property
    def _whole(self) -> bool:
        """Whether every query of a dense plan sees every key."""
        return bool(self.tables[0].all())

    @cached_property
    def explicit(self) -> Plan:
        """The same where no call is causal for the kernel, so that more can be hidden."""
        return replace(self, calls=tuple(replace(call, causal=False) for call in self.calls))

    @cached_property
    def complete(self) -> bool:
        """Whether every row is written first by one call of its own."""
        fresh = sum(call.count * call.rows for call in self.calls if call.fresh)
        return fresh == self.queries

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that are computed, hidden ones of shared tiles too."""
        return sum(
            call.rows * (call.rows + 1) // 2 if call.causal else call.count * call.rows * call.keys
            for call in self.calls
        )

    def direct(self, dtype: torch.dtype) -> Tensor | None:
        """The mask of a dense plan for SDPA: [q, k]; numbers, but bool where a row is empty."""
        if self.calls[0].causal or self._whole:
            return None
        seen_qk = self.tables[0]
        return self.mask(self.calls[0], dtype) if self._full else seen_qk

    def mask(self, call: Call, dtype: torch.dtype) -> Tensor | None:
        """What a call adds to its scores: [q, k]; few differ, and those are kept."""
        if not call.masked:
            return None
        key = call.tables, dtype
        if key not in self._masks:
            room = _KEPT - sum(mask_qk.numel() for mask_qk in self._masks.values())
            if room < call.rows * call.keys:
                return self._made(call, dtype)
            self._masks[key] = self._made(call, dtype)
        return self._masks[key]

    def _made(self, call: Call, dtype: torch.dtype) -> Tensor:
        mask_qk = torch.zeros(call.rows, call.keys, dtype=dtype)
        column = 0
        for width, table in call.tables:
            if table != ALL:
                mask_qk[:, column : column + width].masked_fill_(~self.tables[table], HIDDEN)
            column += width
        return mask_qk
