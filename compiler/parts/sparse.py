"""Attention on a CPU that computes only the tiles that a mask shows, as operators.

A plan says which calls of the flash kernel on slices of the keys make up a mask; their results are
merged by log-sum-exp. The operators take the name of a pattern and the lengths, so a graph that
holds them stays valid for every length.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from mmspec.compiler.parts.sparse_plan import HIDDEN, Call, chosen

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


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
    plan = chosen(name, tuple(lengths), q_bhqw.shape, k_bgkw.shape[2])
    exact = torch.promote_types(q_bhqw.dtype, torch.float32)
    y_bhqw = torch.zeros_like(_result(q_bhqw), dtype=exact)
    total_bhq1 = torch.full((*q_bhqw.shape[:3], 1), HIDDEN, dtype=exact)
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
    empty_bhq1 = total_bhq1 < HIDDEN / 2
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
    plan = chosen(name, tuple(lengths), q_bhqw.shape, k_bgkw.shape[2])
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
    pairs = chosen(name, tuple(lengths), q, k[2]).pairs
    return 4 * q[0] * q[1] * pairs * q[3]


@register_flop_formula(_operator("mmspec::attend_backward"))
def _backward_flops(
    _: Sequence[int], inputs: Sequence[Sequence[int]], *rest: Any, **__: Any
) -> int:
    q, k, _ = inputs
    name, lengths = rest[2], rest[3]
    pairs = chosen(name, tuple(lengths), q, k[2]).pairs
    return 10 * q[0] * q[1] * pairs * q[3]


# Views and sums.


def _rows(x: Tensor) -> Tensor:
    """The same with the numbers of a row side by side, as the kernel reads them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _result(q_bhqw: Tensor) -> Tensor:
    """Room for the results, the heads of a query side by side as the next layer reads them."""
    batch, heads, queries, width = q_bhqw.shape
    return q_bhqw.new_empty(batch, queries, heads, width).transpose(1, 2)


def _samples(call: Call, x: Tensor) -> list[slice]:
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


def _queries(x_bhqw: Tensor, call: Call) -> Tensor:
    return _view(x_bhqw, call.start, call.rows, (call.count, call.rows))


def _keys(x_bgkw: Tensor, call: Call) -> Tensor:
    parts = [
        _view(x_bgkw, start, stop - start, (call.count, call.shift)) for start, stop in call.spans
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _add_keys(sum_bgkw: Tensor, part: Tensor, call: Call) -> None:
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
    bias_bk = torch.zeros(valid_bk.shape, dtype=dtype).masked_fill_(~valid_bk, HIDDEN)
    return bias_bk[:, None, :, None]


def _visible(
    mask_qk: Tensor | None, bias_b1k1: Tensor | None, call: Call, sample: slice
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
