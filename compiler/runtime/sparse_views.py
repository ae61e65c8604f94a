"""Views, sums and orders of the tensors that calls of sparse attention read and write.

Shapes: b batch, h query heads, g key heads, q queries, k keys, t tokens, w head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse_calls import HIDDEN, Call, Plan


def rows(x: Tensor) -> Tensor:
    """The same with the numbers of a row side by side, as the kernel reads them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def inner_type(plan: Plan, dtype: torch.dtype) -> torch.dtype:
    """What the kernel computes in: of bfloat16 it is faster on long calls only."""
    half = dtype == torch.float16 or (dtype == torch.bfloat16 and not plan.dense)
    return torch.float32 if half else dtype


def moved(x_bhtw: Tensor, places: Tensor | None) -> Tensor:
    """The tokens of some places one after another, the heads of each side by side."""
    if places is None:
        return x_bhtw
    return x_bhtw.transpose(1, 2).index_select(1, places).transpose(1, 2)


def ordered(inputs: Sequence[Tensor], plan: Plan, dtype: torch.dtype) -> Iterator[Tensor]:
    """Queries, keys and values as the calls count them."""
    for x_bhtw, order in zip(inputs, (plan.orders[0], *plan.orders[1:] * 2), strict=True):
        yield moved(rows(x_bhtw), order).to(dtype)


def result_like(x_bhtw: Tensor, dtype: torch.dtype) -> Tensor:
    """Room for a result, the heads of a token side by side as the next layer reads them."""
    batch, heads, tokens, width = x_bhtw.shape
    return x_bhtw.new_empty((batch, tokens, heads, width), dtype=dtype).transpose(1, 2)


def rooms(q_bhqw: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the attention and the log-sum-exp."""
    exact = torch.promote_types(q_bhqw.dtype, torch.float32)
    return result_like(q_bhqw, q_bhqw.dtype), q_bhqw.new_empty(q_bhqw.shape[:3], dtype=exact)


def rooms_like(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Room for the gradients of queries, keys and values."""
    q, k, v = (result_like(x, x.dtype) for x in inputs)
    return q, k, v


def samples_of(call: Call, x: Tensor) -> list[slice]:
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


def queries_of(x_bhqw: Tensor, call: Call) -> Tensor:
    """The queries of a call."""
    return _view(x_bhqw, call.start, call.rows, (call.count, call.rows))


def keys_of(x_bgkw: Tensor, call: Call) -> Tensor:
    """The keys of a call, side by side."""
    parts = [
        _view(x_bgkw, start, stop - start, (call.count, call.shift)) for start, stop in call.spans
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def add_keys(sum_bgkw: Tensor, part: Tensor, call: Call) -> None:
    """Add the gradients of a call's keys where they belong."""
    for place in range(call.count):
        of_block = part if call.count == 1 else part[place : place + 1]
        column = 0
        for start, stop in call.spans:
            at = start + place * call.shift
            width = stop - start
            sum_bgkw[:, :, at : at + width].add_(of_block[:, :, column : column + width])
            column += width


def bias_of(valid_bk: Tensor | None, plan: Plan, dtype: torch.dtype) -> Tensor | None:
    """What is added to the scores of a key: [B, 1, k, 1]; None where all are valid."""
    if valid_bk is None or bool(valid_bk.all()):
        return None
    bias_bk = torch.zeros(valid_bk.shape, dtype=dtype).masked_fill_(~valid_bk, HIDDEN)
    return moved(bias_bk[:, None, :, None], plan.orders[1])


def visible_to(
    mask_qk: Tensor | None, bias_b1k1: Tensor | None, call: Call, sample: slice
) -> Tensor | None:
    """What a call adds to its scores: broadcasts to [B, h, q, k]."""
    if bias_b1k1 is None:
        return mask_qk
    bias_b11k = keys_of(bias_b1k1[sample], call).transpose(2, 3)
    if mask_qk is None:
        return bias_b11k.expand(-1, -1, call.rows, -1)
    return torch.minimum(mask_qk, bias_b11k)


def together(mask: Tensor | None, added: Tensor | None) -> Tensor | None:
    """What hides keys and what else is added to scores: broadcasts to [B, h, q, k]."""
    return mask if added is None else added if mask is None else mask + added


def merge(into: tuple[Tensor, Tensor], of: tuple[Tensor, Tensor], fresh: bool) -> None:
    """Into results over some keys those over other keys, each with its log-sum-exp."""
    (y, total), (y_of, total_of) = into, of
    if fresh:
        y.copy_(y_of)
        total.copy_(total_of)
        return
    y.lerp_(y_of.to(y.dtype), torch.sigmoid(total_of - total))
    total.copy_(torch.logaddexp(total, total_of))
