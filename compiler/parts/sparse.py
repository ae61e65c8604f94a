"""Attention on a CPU that computes only the tiles that a mask shows, as operators.

A plan says which calls of the flash kernel on slices of the keys make up a mask; their results are
merged by log-sum-exp. The operators take the name of a pattern and the lengths, so a graph that
holds them stays valid for every length.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from mmspec.compiler.parts import launch
from mmspec.compiler.parts.sparse_calls import HIDDEN, Call, Plan
from mmspec.compiler.parts.sparse_plan import HALF, chosen

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
    plan = _dense_plan(name, lengths, q_bhqw, k_bgkw)
    if plan is not None:
        inputs = q_bhqw, k_bgkw, v_bgkw
        return _dense(inputs, plan, valid_bk, width**-0.5)[..., :value_width]
    y_bhqw: Tensor
    y_bhqw, _ = attend(q_bhqw, k_bgkw, v_bgkw, valid_bk, name, list(lengths), width**-0.5)
    return y_bhqw[..., :value_width]


def _sizes(q_bhqw: Tensor, k_bgkw: Tensor) -> tuple[int, int, int, int]:
    """Heads of all samples, queries, keys and width."""
    batch, heads, queries, width = q_bhqw.shape
    return batch * heads, queries, k_bgkw.shape[2], width


def _dense_plan(name: str, lengths: Sequence[int], q_bhqw: Tensor, k_bgkw: Tensor) -> Plan | None:
    """The plan where it is dense on a CPU, but none while a graph is traced for every length."""
    if torch.compiler.is_compiling() or q_bhqw.is_cuda:
        return None
    training = torch.is_grad_enabled() and q_bhqw.requires_grad
    rate = HALF if training and q_bhqw.dtype == torch.bfloat16 else 1.0
    plan = chosen(name, tuple(lengths), _sizes(q_bhqw, k_bgkw), rate)
    return plan if plan.dense else None


def _dense(
    inputs: tuple[Tensor, Tensor, Tensor], plan: Plan, valid_bk: Tensor | None, scale: float
) -> Tensor:
    """The whole as SDPA computes it, without a detour; of float16 in float32, which is faster."""
    half = inputs[0].dtype == torch.float16
    q, k, v = (x.float() if half else x for x in inputs)
    mask, causal = plan.direct(q.dtype), plan.calls[0].causal
    if valid_bk is not None:
        mask, causal = plan.tables[0] & valid_bk[:, None, None, :], False
    y_bhqw = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=len(q[0]) != len(k[0])
    )
    return y_bhqw.half() if half else y_bhqw


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
    plan = chosen(name, tuple(lengths), _sizes(q_bhqw, k_bgkw))
    inner = _inner(plan, q_bhqw.dtype)
    q, k, v = _ordered((q_bhqw, k_bgkw, v_bgkw), plan, inner)
    y_bhqw = _result(q_bhqw, torch.promote_types(inner, torch.float32))
    if not plan.complete:
        y_bhqw.zero_()
    total_bhq1 = torch.full((*q.shape[:3], 1), HIDDEN, dtype=y_bhqw.dtype)
    bias_b1k1 = _bias(valid_bk, plan, inner)
    for call in (plan.explicit if bias_b1k1 is not None else plan).calls:
        mask_qk = plan.mask(call, inner)
        for sample in _samples(call, q):
            y, total = _flash(
                _queries(q[sample], call),
                _keys(k[sample], call),
                _keys(v[sample], call),
                0.0,
                call.causal,
                attn_mask=_visible(mask_qk, bias_b1k1, call, sample),
                scale=scale,
            )
            into = _queries(y_bhqw[sample], call), _queries(total_bhq1[sample], call)
            _merge(into, (y, total[..., None]), call.fresh)
    empty_bhq1 = total_bhq1 < HIDDEN / 2
    if empty_bhq1.any():
        y_bhqw.masked_fill_(empty_bhq1, 0.0)
        total_bhq1.masked_fill_(empty_bhq1, 0.0)
    y, total = (_moved(x, plan.inverses[0]) for x in (y_bhqw, total_bhq1))
    return y.to(q_bhqw.dtype), total[..., 0].contiguous()


@attend.register_kernel("cuda")
def _(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    valid_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
) -> tuple[Tensor, Tensor]:
    tensors = q_bhqw, k_bgkw, v_bgkw
    return launch.forward(_kernels(name), tensors, lengths, valid_bk, scale)


def _kernels(name: str) -> launch.Kernels:
    """The kernels of a pattern: the package has them in a module that needs triton."""
    found: launch.Kernels = import_module(".kernels", __package__).KERNELS[name]
    return found


@attend.register_fake
def _(q_bhqw: Tensor, k_bgkw: Tensor, v_bgkw: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    exact = torch.promote_types(q_bhqw.dtype, torch.float32)
    return _result(q_bhqw, q_bhqw.dtype), q_bhqw.new_empty(q_bhqw.shape[:3], dtype=exact)


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
    dtype = inputs[0].dtype
    rate = HALF if dtype == torch.bfloat16 else 1.0
    plan = chosen(name, tuple(lengths), _sizes(*inputs[:2]), rate)
    inner = _inner(plan, dtype)
    q, k, v = _ordered(inputs, plan, inner)
    grad, y = (_moved(_rows(x), plan.orders[0]).to(inner) for x in (grad_bhqw, results[0]))
    total_bhq1 = _moved(results[1][..., None], plan.orders[0])
    sums = [_result(x, torch.promote_types(inner, torch.float32)).zero_() for x in inputs]
    bias_b1k1 = _bias(valid_bk, plan, inner)
    for call in (plan.explicit if bias_b1k1 is not None else plan).calls:
        mask_qk = plan.mask(call, inner)
        for sample in _samples(call, q):
            grads = _flash_backward(
                _queries(grad[sample], call),
                _queries(q[sample], call),
                _keys(k[sample], call),
                _keys(v[sample], call),
                _queries(y[sample], call),
                _queries(total_bhq1[sample], call)[..., 0],
                0.0,
                call.causal,
                attn_mask=_visible(mask_qk, bias_b1k1, call, sample),
                scale=scale,
            )
            _queries(sums[0][sample], call).add_(grads[0])
            _add_keys(sums[1][sample], grads[1], call)
            _add_keys(sums[2][sample], grads[2], call)
    places = plan.inverses[0], plan.inverses[1], plan.inverses[1]
    moved = (_moved(x, place).to(dtype) for x, place in zip(sums, places, strict=True))
    grad_q, grad_k, grad_v = moved
    return grad_q, grad_k, grad_v


@attend_backward.register_kernel("cuda")
def _(
    grad_bhqw: Tensor,
    inputs: list[Tensor],
    results: list[Tensor],
    valid_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    tensors = (grad_bhqw, *inputs, *results)
    return launch.backward(_kernels(name), tensors, lengths, valid_bk, scale)


@attend_backward.register_fake
def _(grad_bhqw: Tensor, inputs: list[Tensor], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (_result(x, x.dtype) for x in inputs)
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
    pairs = chosen(name, tuple(lengths), (q[0] * q[1], q[2], k[2], q[3])).pairs
    return 4 * q[0] * q[1] * pairs * q[3]


@register_flop_formula(_operator("mmspec::attend_backward"))
def _backward_flops(
    _: Sequence[int], inputs: Sequence[Sequence[int]], *rest: Any, **__: Any
) -> int:
    q, k, _ = inputs
    name, lengths = rest[2], rest[3]
    pairs = chosen(name, tuple(lengths), (q[0] * q[1], q[2], k[2], q[3])).pairs
    return 10 * q[0] * q[1] * pairs * q[3]


# Views and sums.


def _rows(x: Tensor) -> Tensor:
    """The same with the numbers of a row side by side, as the kernel reads them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _inner(plan: Plan, dtype: torch.dtype) -> torch.dtype:
    """What the kernel computes in: of bfloat16 it is faster on long calls only."""
    half = dtype == torch.float16 or (dtype == torch.bfloat16 and not plan.dense)
    return torch.float32 if half else dtype


def _moved(x_bhtw: Tensor, places: Tensor | None) -> Tensor:
    """The tokens of some places one after another, the heads of each side by side."""
    if places is None:
        return x_bhtw
    return x_bhtw.transpose(1, 2).index_select(1, places).transpose(1, 2)


def _ordered(inputs: Sequence[Tensor], plan: Plan, dtype: torch.dtype) -> Iterator[Tensor]:
    """Queries, keys and values as the calls count them."""
    for x_bhtw, order in zip(inputs, (plan.orders[0], *plan.orders[1:] * 2), strict=True):
        yield _moved(_rows(x_bhtw), order).to(dtype)


def _result(x_bhtw: Tensor, dtype: torch.dtype) -> Tensor:
    """Room for a result, the heads of a token side by side as the next layer reads them."""
    batch, heads, tokens, width = x_bhtw.shape
    return x_bhtw.new_empty((batch, tokens, heads, width), dtype=dtype).transpose(1, 2)


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


def _bias(valid_bk: Tensor | None, plan: Plan, dtype: torch.dtype) -> Tensor | None:
    """What is added to the scores of a key: [B, 1, k, 1]; None where all are valid."""
    if valid_bk is None or bool(valid_bk.all()):
        return None
    bias_bk = torch.zeros(valid_bk.shape, dtype=dtype).masked_fill_(~valid_bk, HIDDEN)
    return _moved(bias_bk[:, None, :, None], plan.orders[1])


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
