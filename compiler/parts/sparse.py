"""Attention on a CPU that computes only the tiles that a mask shows, as operators.

A mask is a `Pattern`, registered by name: which runs of keys each block of queries sees, and which
single keys. From it a plan is made once for each set of lengths: few calls of the flash kernel on
slices of keys, merged by log-sum-exp, or one call on everything where that costs less. The
operators take the name and the lengths, so a graph that holds them stays valid for every length.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

Run = tuple[int, int, bool]
"""Keys from start to stop; whether every query of the block sees all of them."""

Block = tuple[int, int, Sequence[Run]]
"""Queries from start to stop, and the runs of keys that they see: in order, and apart."""

_Part = tuple[int, int, int]
"""Keys from start to stop, and their table of who sees whom; -1 where all see all."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

_HIDDEN = -1e30  # not -inf: the kernel says log-sum-exp 0 of a row of those, and merging goes wrong
_ALL = -1
_TABLE = 64  # keys in a table
_TALL = 8  # blocks that share a rectangle
_WIDE = 256  # keys that make a rectangle worth a call
_BAND = 16  # blocks in a band: their gradients stay in the cache

# Costs in multiply-adds of the kernel on long queries without a mask, measured.
_CALL = 6e5
_MASKED = 1.15
_SHORT = 1.2  # for each pair where a call has less than 256 queries
_ROW = 40.0  # for each number of a result that is written or merged
_COPY = 40.0  # for each number of the keys and values that are laid side by side


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which keys each query sees; both functions also take the lengths, one after another."""

    blocks: Callable[..., Iterable[Block]]
    """(*lengths): the blocks of queries, any number of times each, with runs of keys."""
    sees: Callable[..., Tensor]
    """(q [q, 1], k [k], *lengths) -> bool [q, k], asked for runs that are not whole."""


@dataclass(frozen=True)
class _Call:
    """One call of the kernel: `count` times `rows` queries, each `shift` keys after the last."""

    start: int
    rows: int
    parts: tuple[_Part, ...]
    count: int = 1
    shift: int = 0
    fresh: bool = True  # no call before wrote any of these rows

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
        return any(table != _ALL for _, table in self.tables)

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
        pair = (_MASKED if self.masked else 1.0) * (_SHORT if self.rows < 256 else 1.0)
        numbers = self.count * self.rows * (self.keys * pair + _ROW)
        copied = self.keys * _COPY if len(self.spans) > 1 else 0.0
        return _CALL + heads * width * (numbers + copied)

    def followed_by(self, other: _Call) -> _Call | None:
        """Both as one call, if that can be."""
        shift = other.parts[0][0] - self.parts[0][0] - (self.count - 1) * self.shift
        apart = len(self.spans) > 1 or len(other.spans) > 1 or self.stop != other.start
        if apart or self.tables != other.tables:
            return None
        if not self.masked and self.count == 1 and shift == 0:
            return replace(self, rows=self.rows + other.rows)
        if self.rows != other.rows or self.count == _BAND:
            return None
        if shift != self.shift if self.count > 1 else shift not in (0, self.rows):
            return None
        return replace(self, count=self.count + 1, shift=shift)


@dataclass(frozen=True, eq=False)
class _Plan:
    """The calls that compute an attention, and the tables that their masks are made of."""

    calls: tuple[_Call, ...]
    tables: tuple[Tensor, ...]

    def cost(self, heads: int, width: int) -> float:
        """Multiply-adds that take as long as the whole."""
        return sum(call.cost(heads, width) for call in self.calls)

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that are computed, hidden ones of shared tiles too."""
        return sum(call.count * call.rows * call.keys for call in self.calls)

    def mask(self, call: _Call, dtype: torch.dtype) -> Tensor | None:
        """What a call adds to its scores: [q, k]."""
        if not call.masked:
            return None
        mask_qk = torch.zeros(call.rows, call.keys, dtype=dtype)
        column = 0
        for width, table in call.tables:
            if table != _ALL:
                mask_qk[:, column : column + width].masked_fill_(~self.tables[table], _HIDDEN)
            column += width
        return mask_qk


_PATTERNS: dict[str, Pattern] = {}


def register(name: str, pattern: Pattern) -> None:
    """Make a pattern known to the operators; a name stands for one pattern for good."""
    assert name not in _PATTERNS, name
    _PATTERNS[name] = pattern


def tiled(
    runs: Callable[..., Iterable[Run]], tile: int, queries: range, keys: range, *lengths: int
) -> Iterator[Block]:
    """Blocks of a segment from `runs(i, *lengths)`, which counts in tiles of two segments."""
    for index, start in enumerate(range(queries.start, queries.stop, tile)):
        first = keys.start
        seen = [
            (first + tile * left, min(first + tile * right, keys.stop), whole)
            for left, right, whole in runs(index, *lengths)
        ]
        yield start, min(start + tile, queries.stop), seen


def sparse_attention(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    pattern: tuple[str, Sequence[int]],
    valid_bk: Tensor | None = None,
) -> Tensor:
    """softmax(q kᵀ / √w) v over the keys that a pattern at these lengths shows and are valid.

    A query that sees no key gives 0, and gets and gives no gradient. Widths of keys and values may
    differ; the heads of the queries are a multiple of those of the keys.
    """
    width, value_width = q_bhqw.shape[-1], v_bgkw.shape[-1]
    if value_width < width:
        v_bgkw = F.pad(v_bgkw, (0, width - value_width))
    elif width < value_width:
        q_bhqw, k_bgkw = (F.pad(x, (0, value_width - width)) for x in (q_bhqw, k_bgkw))
    name, lengths = pattern
    y_bhqw: Tensor
    y_bhqw, _ = attend(q_bhqw, k_bgkw, v_bgkw, valid_bk, name, list(lengths), width**-0.5)
    return y_bhqw[..., :value_width]


@torch.library.custom_op("mmspec::attend", mutates_args=(), device_types="cpu")
def attend(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    valid_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The attention of a pattern and the log-sum-exp of its scores, 0 where there are none."""
    q_bhqw, k_bgkw, v_bgkw = _rows(q_bhqw), _rows(k_bgkw), _rows(v_bgkw)
    plan = _chosen(name, tuple(lengths), q_bhqw.shape, k_bgkw.shape[2])
    exact = torch.promote_types(q_bhqw.dtype, torch.float32)
    y_bhqw = torch.zeros_like(_result(q_bhqw), dtype=exact)
    total_bhq1 = torch.full((*q_bhqw.shape[:3], 1), _HIDDEN, dtype=exact)
    bias_b1k1 = _bias(valid_bk, q_bhqw.dtype)
    for call in plan.calls:
        mask_qk = plan.mask(call, q_bhqw.dtype)
        for sample in _samples(call, q_bhqw):
            y, total = _flash(
                _queries(q_bhqw[sample], call),
                _keys(k_bgkw[sample], call),
                _keys(v_bgkw[sample], call),
                attn_mask=_visible(mask_qk, bias_b1k1, call, sample),
                scale=scale,
            )
            into = _queries(y_bhqw[sample], call), _queries(total_bhq1[sample], call)
            _merge(into, (y, total[..., None]), call.fresh)
    empty_bhq1 = total_bhq1 < _HIDDEN / 2
    if empty_bhq1.any():
        y_bhqw.masked_fill_(empty_bhq1, 0.0)
        total_bhq1.masked_fill_(empty_bhq1, 0.0)
    return y_bhqw.to(q_bhqw.dtype), total_bhq1[..., 0]


@attend.register_fake
def _(q_bhqw: Tensor, k_bgkw: Tensor, v_bgkw: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    exact = torch.promote_types(q_bhqw.dtype, torch.float32)
    return _result(q_bhqw), q_bhqw.new_empty(q_bhqw.shape[:3], dtype=exact)


@torch.library.custom_op("mmspec::attend_backward", mutates_args=(), device_types="cpu")
def attend_backward(
    grad_bhqw: Tensor,
    inputs: list[Tensor],
    results: list[Tensor],
    valid_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values; `results` are the two of the attention."""
    grad_bhqw, q_bhqw, k_bgkw, v_bgkw, y_bhqw = map(_rows, (grad_bhqw, *inputs, results[0]))
    plan = _chosen(name, tuple(lengths), q_bhqw.shape, k_bgkw.shape[2])
    exact = torch.promote_types(q_bhqw.dtype, torch.float32)
    sums = [x.new_zeros(x.shape, dtype=exact) for x in (q_bhqw, k_bgkw, v_bgkw)]
    bias_b1k1 = _bias(valid_bk, q_bhqw.dtype)
    for call in plan.calls:
        mask_qk = plan.mask(call, q_bhqw.dtype)
        for sample in _samples(call, q_bhqw):
            grads = _flash_backward(
                _queries(grad_bhqw[sample], call),
                _queries(q_bhqw[sample], call),
                _keys(k_bgkw[sample], call),
                _keys(v_bgkw[sample], call),
                _queries(y_bhqw[sample], call),
                _queries(results[1][sample][..., None], call)[..., 0],
                0.0,
                False,
                attn_mask=_visible(mask_qk, bias_b1k1, call, sample),
                scale=scale,
            )
            _queries(sums[0][sample], call).add_(grads[0])
            _add_keys(sums[1][sample], grads[1], call)
            _add_keys(sums[2][sample], grads[2], call)
    q, k, v = (x.to(q_bhqw.dtype) for x in sums)
    return q, k, v


@attend_backward.register_fake
def _(grad_bhqw: Tensor, inputs: list[Tensor], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (x.new_empty(x.shape) for x in inputs)
    return q, k, v


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.name, ctx.lengths, ctx.scale = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.mark_non_differentiable(output[1])


def _attend_backward(ctx: Any, grad_bhqw: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, valid, *results = ctx.saved_tensors
    rest = valid, ctx.name, ctx.lengths, ctx.scale
    return *attend_backward(grad_bhqw, [q, k, v], results, *rest), None, None, None, None


attend.register_autograd(_attend_backward, setup_context=_keep)
attend.register_autocast("cpu", torch.bfloat16)


def _operator(qualified: str) -> Any:
    space, name = qualified.split("::")
    return getattr(getattr(torch.ops, space), name)


@register_flop_formula(_operator("mmspec::attend"))
def _flops(q: Sequence[int], k: Sequence[int], *rest: Any, **_: Any) -> int:
    name, lengths = rest[2], rest[3]
    pairs = _chosen(name, tuple(lengths), q, k[2]).pairs
    return 4 * q[0] * q[1] * pairs * q[3]


@register_flop_formula(_operator("mmspec::attend_backward"))
def _backward_flops(
    _: Sequence[int], inputs: Sequence[Sequence[int]], *rest: Any, **__: Any
) -> int:
    q, k, _ = inputs
    name, lengths = rest[2], rest[3]
    pairs = _chosen(name, tuple(lengths), q, k[2]).pairs
    return 10 * q[0] * q[1] * pairs * q[3]


# Views and sums.


def _rows(x: Tensor) -> Tensor:
    """The same with the numbers of a row side by side, as the kernel reads them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _result(q_bhqw: Tensor) -> Tensor:
    """Room for the results, the heads of a query side by side as the next layer reads them."""
    batch, heads, queries, width = q_bhqw.shape
    return q_bhqw.new_empty(batch, queries, heads, width).transpose(1, 2)


def _samples(call: _Call, x: Tensor) -> list[slice]:
    """A band takes the batch's place: sample by sample."""
    return [slice(b, b + 1) for b in range(len(x))] if call.count > 1 else [slice(None)]


def _view(x_bhtw: Tensor, start: int, size: int, repeat: tuple[int, int]) -> Tensor:
    """Tokens from `start` on, or of one sample `count` such blocks, each `shift` further on."""
    count, shift = repeat
    if count == 1:
        return x_bhtw[:, :, start : start + size]
    _, head, token, number = x_bhtw.stride()
    shape = (count, x_bhtw.shape[1], size, x_bhtw.shape[3])
    offset = x_bhtw.storage_offset() + start * token
    return x_bhtw.as_strided(shape, (shift * token, head, token, number), offset)


def _queries(x_bhqw: Tensor, call: _Call) -> Tensor:
    return _view(x_bhqw, call.start, call.rows, (call.count, call.rows))


def _keys(x_bgkw: Tensor, call: _Call) -> Tensor:
    parts = [
        _view(x_bgkw, start, stop - start, (call.count, call.shift)) for start, stop in call.spans
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _add_keys(sum_bgkw: Tensor, part: Tensor, call: _Call) -> None:
    """Add the gradients of a call's keys where they belong."""
    for place in range(call.count):
        of_block = part if call.count == 1 else part[place : place + 1]
        column = 0
        for start, stop in call.spans:
            at = start + place * call.shift
            width = stop - start
            sum_bgkw[:, :, at : at + width].add_(of_block[:, :, column : column + width])
            column += width


def _bias(valid_bk: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to the scores of a key: [B, 1, k, 1]; None where all are valid."""
    if valid_bk is None or bool(valid_bk.all()):
        return None
    bias_bk = torch.zeros(valid_bk.shape, dtype=dtype).masked_fill_(~valid_bk, _HIDDEN)
    return bias_bk[:, None, :, None]


def _visible(
    mask_qk: Tensor | None, bias_b1k1: Tensor | None, call: _Call, sample: slice
) -> Tensor | None:
    """What a call adds to its scores: broadcasts to [B, h, q, k]."""
    if bias_b1k1 is None:
        return mask_qk
    bias_b11k = _keys(bias_b1k1[sample], call).transpose(2, 3)
    if mask_qk is None:
        return bias_b11k.expand(-1, -1, call.rows, -1)
    return torch.minimum(mask_qk, bias_b11k)


def _merge(into: tuple[Tensor, Tensor], of: tuple[Tensor, Tensor], fresh: bool) -> None:
    """Into results over some keys those over other keys, each with its log-sum-exp."""
    (y, total), (y_of, total_of) = into, of
    if fresh:
        y.copy_(y_of)
        total.copy_(total_of)
        return
    y.lerp_(y_of.to(y.dtype), torch.sigmoid(total_of - total))
    total.copy_(torch.logaddexp(total, total_of))


# Plans.


def _chosen(name: str, lengths: tuple[int, ...], q: Sequence[int], keys: int) -> _Plan:
    """The cheaper of the sparse plan and one call on everything."""
    sparse = _sparse_plan(name, lengths)
    dense = _Call(0, q[2], ((0, keys, 0),))
    if sparse.cost(q[0] * q[1], q[3]) <= dense.cost(q[0] * q[1], q[3]):
        return sparse
    return _dense_plan(name, lengths, q[2], keys)


@lru_cache(maxsize=64)
def _sparse_plan(name: str, lengths: tuple[int, ...]) -> _Plan:
    parts, tables = _tables(_PATTERNS[name], lengths)
    rectangles, parts = _rectangles(parts)
    calls = _joined(rectangles) + _joined(_pieces(parts))
    return _Plan(tuple(_ordered(calls)), tables)


@lru_cache(maxsize=64)
def _dense_plan(name: str, lengths: tuple[int, ...], queries: int, keys: int) -> _Plan:
    parts, tables = _tables(_PATTERNS[name], lengths)
    seen_qk = torch.zeros(queries, keys, dtype=torch.bool)
    for (start, stop), seen in parts.items():
        for left, right, table in seen:
            seen_qk[start:stop, left:right] |= True if table == _ALL else tables[table]
    return _Plan((_Call(0, queries, ((0, keys, 0),)),), (seen_qk,))


_Parts = dict[tuple[int, int], list[_Part]]


def _tables(pattern: Pattern, lengths: tuple[int, ...]) -> tuple[_Parts, tuple[Tensor, ...]]:
    """The parts of each block of queries, and the distinct tables: there are few of them."""
    found: dict[tuple[int, bytes], int] = {}
    tables: list[Tensor] = []
    parts: _Parts = {}

    def table(seen_qk: Tensor) -> int:
        if seen_qk.all():
            return _ALL
        key = seen_qk.shape[1], seen_qk.numpy().tobytes()
        if key not in found:
            found[key] = len(tables)
            tables.append(seen_qk.clone())
        return found[key]

    for start, stop, runs in pattern.blocks(*lengths):
        into = parts.setdefault((start, stop), [])
        q = torch.arange(start, stop)[:, None]
        for left, right, whole in runs:
            if whole:
                into.append((left, right, _ALL))
                continue
            seen_qk = pattern.sees(q, torch.arange(left, right), *lengths)
            seen_qk = seen_qk.expand(stop - start, right - left)
            for at in range(0, right - left, _TABLE):
                tile = seen_qk[:, at : at + _TABLE]
                if tile.any():
                    into.append((left + at, left + at + tile.shape[1], table(tile)))
    return {key: _fused(value) for key, value in sorted(parts.items())}, tuple(tables)


def _fused(parts: Iterable[_Part]) -> list[_Part]:
    """In order of the keys, neighbours that all see as one."""
    fused: list[_Part] = []
    for start, stop, table in sorted(parts):
        if fused and table == _ALL and fused[-1][1:] == (start, _ALL):
            start = fused.pop()[0]
        fused.append((start, stop, table))
    return fused


def _rectangles(parts: _Parts) -> tuple[list[_Call], _Parts]:
    """Wide runs that several blocks see as a whole, and what is left of the parts."""
    calls: list[_Call] = []
    left: _Parts = {}
    keys = list(parts)
    for place in range(0, len(keys), _TALL):
        blocks = keys[place : place + _TALL]
        shared = _shared([parts[block] for block in blocks])
        start, stop = blocks[0][0], blocks[-1][1]
        if stop - start != sum(last - first for first, last in blocks):
            shared = []
        calls.extend(_Call(start, stop - start, ((*span, _ALL),)) for span in shared)
        left.update((block, _without(parts[block], shared)) for block in blocks)
    return calls, left


def _shared(blocks: list[list[_Part]]) -> list[tuple[int, int]]:
    """Keys that every block sees as a whole, where they are many together."""
    common = [(0, 1 << 62)]
    for parts in blocks:
        whole = [(start, stop) for start, stop, table in parts if table == _ALL]
        common = [
            (max(a[0], b[0]), min(a[1], b[1]))
            for a in common
            for b in whole
            if max(a[0], b[0]) < min(a[1], b[1])
        ]
    return [(start, stop) for start, stop in common if stop - start >= _WIDE]


def _without(parts: list[_Part], spans: list[tuple[int, int]]) -> list[_Part]:
    """The parts without the keys of some spans, each of which lies in one part."""
    for first, last in spans:
        cut: list[_Part] = []
        for start, stop, table in parts:
            if start <= first and last <= stop:
                cut += [(start, first, table)] * (start < first) + [(last, stop, table)] * (
                    last < stop
                )
            else:
                cut.append((start, stop, table))
        parts = cut
    return parts


def _pieces(parts: _Parts) -> list[_Call]:
    """Calls for each block: a run that goes on in the next block alone, all others as one."""
    rows = [
        [_Call(start, stop - start, span) for span in _spans(seen)]
        for (start, stop), seen in parts.items()
    ]
    calls: list[_Call] = []
    for place, row in enumerate(rows):
        before = rows[place - 1] if place else []
        after = rows[place + 1] if place + 1 < len(rows) else []
        alone = {
            call
            for call in row
            if any(other.followed_by(call) for other in before)
            or any(call.followed_by(other) for other in after)
        }
        calls.extend(alone)
        others = tuple(part for call in row if call not in alone for part in call.parts)
        if others:
            calls.append(_Call(row[0].start, row[0].rows, others))
    return calls


def _spans(parts: list[_Part]) -> Iterator[tuple[_Part, ...]]:
    """Parts that touch each other, together."""
    span: list[_Part] = []
    for part in parts:
        if span and span[-1][1] != part[0]:
            yield tuple(span)
            span = []
        span.append(part)
    if span:
        yield tuple(span)


def _joined(calls: list[_Call]) -> list[_Call]:
    """Calls on neighbouring queries as one where they can be: rectangles, and bands."""
    done: list[_Call] = []
    open_at: dict[int, list[_Call]] = {}
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


def _ordered(calls: list[_Call]) -> Iterator[_Call]:
    """The calls with the most rows first; each knows whether it is the first on all its rows."""
    touched = bytearray(max((call.stop for call in calls), default=0))
    for call in sorted(calls, key=lambda call: (-call.count * call.rows, call.start)):
        fresh = not any(touched[call.start : call.stop])
        touched[call.start : call.stop] = b"\1" * (call.stop - call.start)
        yield replace(call, fresh=fresh)
