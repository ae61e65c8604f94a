"""Attention on a CPU that computes only the tiles that a mask shows, as operators.

A plan says which calls of the flash kernel on slices of keys make up a mask, merged by log-sum-exp.
Operators take the name of a pattern and lengths, so graphs stay valid for every length.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils.flop_counter import register_flop_formula

from mmspec.compiler.runtime import launch, native
from mmspec.compiler.runtime.operators import operator, transformed
from mmspec.compiler.runtime.pace import paced
from mmspec.compiler.runtime.sinks import sink_attention, sink_gradient, sunk
from mmspec.compiler.runtime.sparse_calls import HIDDEN, Plan
from mmspec.compiler.runtime.sparse_groups import Groups
from mmspec.compiler.runtime.sparse_plan import Samples, chosen, plans, whole
from mmspec.compiler.runtime.sparse_scores import Scores
from mmspec.compiler.runtime.sparse_views import (
    add_keys,
    bias_of,
    inner_type,
    keys_of,
    merge,
    moved,
    ordered,
    queries_of,
    result_like,
    rooms,
    rooms_like,
    rows,
    samples_of,
    together,
    visible_to,
)

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def sparse_attention(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    pattern: tuple[str, Sequence[int]],
    valid_bk: Tensor | None = None,
    spans: tuple[Tensor | None, Tensor | None] = (None, None),
    relative: tuple[Tensor | None, Tensor | None] = (None, None),
    scale: float | None = None,
    sink_h: Tensor | None = None,
) -> Tensor:
    """softmax(q kᵀ / √w) v over the keys that a pattern at these lengths shows and are valid.

    A query that sees no key gives 0, and gets and gives no gradient. Widths of keys and values may
    differ; the heads of the queries are a multiple of those of the keys. spans: of a pattern that
    asks for documents, where those of queries begin and end among keys, and those of keys among
    queries. relative: of self-attention, a table of relative scores and where tokens stand, as in
    sparse_scores.py. scale: instead of 1 / √w. sink_h: a score of each head that
    joins the softmax, with the value 0.
    """
    width, value_width = q_bhqw.shape[-1], v_bgkw.shape[-1]
    if value_width < width:
        v_bgkw = F.pad(v_bgkw, (0, width - value_width))
    elif width < value_width:
        q_bhqw, k_bgkw = (F.pad(x, (0, value_width - width)) for x in (q_bhqw, k_bgkw))
    name, lengths = pattern
    scores = Scores(width**-0.5 if scale is None else scale, *relative)
    plan: Plan | None = None
    if transformed(q_bhqw, k_bgkw, v_bgkw):
        plan = _plain_plan(name, lengths, (q_bhqw, k_bgkw), spans[0])
    elif spans[0] is None and sink_h is None:
        plan = _dense_plan(name, lengths, q_bhqw, k_bgkw)
    if plan is not None:
        inputs = q_bhqw, k_bgkw, v_bgkw
        return _dense(inputs, plan, valid_bk, scores, sink_h)[..., :value_width]
    rest = valid_bk, *spans, name, list(lengths), *scores, sink_h
    y_bhqw: Tensor = attend(q_bhqw, k_bgkw, v_bgkw, *rest)[0]
    return y_bhqw[..., :value_width]


def _sizes(q_bhqw: Tensor, k_bgkw: Tensor) -> tuple[int, int, int, int]:
    """Heads of all samples, queries, keys and width."""
    batch, heads, queries, width = q_bhqw.shape
    return batch * heads, queries, k_bgkw.shape[2], width


def _dense_plan(name: str, lengths: Sequence[int], q_bhqw: Tensor, k_bgkw: Tensor) -> Plan | None:
    """The plan where it is dense on a CPU, but none while a graph is traced for every length."""
    if torch.compiler.is_compiling() or q_bhqw.device.type != "cpu":
        return None
    training = torch.is_grad_enabled() and q_bhqw.requires_grad
    plan = chosen(name, tuple(lengths), _sizes(q_bhqw, k_bgkw), *paced((q_bhqw, k_bgkw), training))
    return None if isinstance(plan, Groups) or not plan.dense else plan


def _plain_plan(
    name: str, lengths: Sequence[int], inputs: tuple[Tensor, Tensor], spans: Tensor | None
) -> Plan:
    """The plan that all transforms of torch follow. Raises RuntimeError where there is none."""
    q_bhqw, k_bgkw = inputs
    if spans is not None or q_bhqw.device.type != "cpu":
        raise RuntimeError(
            "torch.func and forward gradients follow attention by tiles on a CPU only, and none of"
            " packed documents: compile the model with --backend sdpa; forward gradients, and"
            " gradients of gradients, also need torch.nn.attention.sdpa_kernel(SDPBackend.MATH)"
        )
    with temporarily_clear_interpreter_stack():  # what is kept is no part of a transform
        plan = whole(name, tuple(lengths), q_bhqw.shape[2], k_bgkw.shape[2])
        plan.direct(q_bhqw.dtype)
    return plan


def _dense(
    inputs: Sequence[Tensor],
    plan: Plan,
    valid_bk: Tensor | None,
    scores: Scores,
    sink_h: Tensor | None,
) -> Tensor:
    """The whole as SDPA computes it, without a detour; of float16 in float32, which is faster."""
    half = inputs[0].dtype == torch.float16
    q, k, v = (x.float() if half else x for x in inputs)
    mask, causal = plan.direct(q.dtype), plan.calls[0].causal
    if valid_bk is not None:
        mask, causal = plan.tables[0] & valid_bk[:, None, None, :], False
    if scores.relative_ho is not None:
        places = (scores.places(x.shape[2], q.device) for x in (q, k))
        seen = plan.tables[0] if valid_bk is None or mask is None else mask
        mask, causal = torch.where(seen, scores.added(*places).to(q.dtype), -torch.inf), False
        mask = mask if mask.dim() == 4 else mask[None]
    if sink_h is not None:
        y = sink_attention(q, k, v, plan.tables[0] if causal else mask, sink_h, scores.scale)
        return y.to(inputs[0].dtype)
    y_bhqw = F.scaled_dot_product_attention(
        *(q, k, v), mask, 0.0, causal, scale=scores.scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return y_bhqw.half() if half else y_bhqw


def _attend_on_cpu(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    valid_bk: Tensor | None,
    spans_bq: Tensor | None,
    spans_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
    relative_ho: Tensor | None = None,
    place_t: Tensor | None = None,
    sink_h: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    scores = Scores(scale, relative_ho, place_t)
    found = [
        (_attended(*_picked((q_bhqw, k_bgkw, v_bgkw), valid_bk, samples), plan, scores), samples)
        for plan, samples in _plans(name, lengths, spans_bq, (q_bhqw, k_bgkw))
    ]
    y, total = _together(found, lambda: rooms(q_bhqw))
    return sunk(y, total, sink_h)


def _plans(
    name: str,
    lengths: Sequence[int],
    spans: Tensor | None,
    inputs: Sequence[Tensor],
    training: bool = False,
) -> Iterator[tuple[Plan | Groups, Samples]]:
    """The plans for queries and keys, by native code where there is any."""
    return plans(name, lengths, spans, _sizes(*inputs), *paced(inputs, training))


Results = tuple[Tensor, ...]


def _picked(
    tensors: Sequence[Tensor], valid_bk: Tensor | None, samples: Samples
) -> tuple[list[Tensor], Tensor | None]:
    """Some samples of a batch."""
    return [x[samples] for x in tensors], None if valid_bk is None else valid_bk[samples]


def _together(parts: Sequence[tuple[Results, Samples]], make: Callable[[], Results]) -> Results:
    """The results of all samples, in the room that is made where there are several parts."""
    if len(parts) == 1:
        return parts[0][0]
    rooms = make()
    for results, samples in parts:
        for room, result in zip(rooms, results, strict=True):
            room[samples] = result
    return rooms


def _attended(
    inputs: Sequence[Tensor], valid_bk: Tensor | None, plan: Plan | Groups, scores: Scores
) -> tuple[Tensor, Tensor]:
    """The attention of a plan and the log-sum-exp of its scores."""
    if isinstance(plan, Groups):
        return native.attended(inputs, valid_bk, plan, scores)
    q_bhqw = inputs[0]
    inner = inner_type(plan, q_bhqw.dtype)
    q, k, v = ordered(inputs, plan, inner)
    y_bhqw = result_like(q_bhqw, torch.promote_types(inner, torch.float32))
    if not plan.complete:
        y_bhqw.zero_()
    total_bhq1 = torch.full((*q.shape[:3], 1), HIDDEN, dtype=y_bhqw.dtype)
    bias_b1k1 = bias_of(valid_bk, plan, inner)
    relative = scores.relative_ho is not None
    for call in (plan.explicit if relative or bias_b1k1 is not None else plan).calls:
        mask_qk, added = plan.mask(call, inner), scores.of_call(plan, call, k.shape[2], inner)
        for sample in samples_of(call, q):
            y, total = _flash(
                queries_of(q[sample], call),
                keys_of(k[sample], call),
                keys_of(v[sample], call),
                0.0,
                call.causal,
                attn_mask=together(visible_to(mask_qk, bias_b1k1, call, sample), added),
                scale=scores.scale,
            )
            into = queries_of(y_bhqw[sample], call), queries_of(total_bhq1[sample], call)
            merge(into, (y, total[..., None]), call.fresh)
    empty_bhq1 = total_bhq1 < HIDDEN / 2
    if empty_bhq1.any():
        y_bhqw.masked_fill_(empty_bhq1, 0.0)
        total_bhq1.masked_fill_(empty_bhq1, 0.0)
    y, total = (moved(x, plan.inverses[0]) for x in (y_bhqw, total_bhq1))
    return y.to(q_bhqw.dtype), total[..., 0].contiguous()


def _attend_on_cuda(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    valid_bk: Tensor | None,
    spans_bq: Tensor | None,
    spans_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
    relative_ho: Tensor | None = None,
    place_t: Tensor | None = None,
    sink_h: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    tensors, rest = (q_bhqw, k_bgkw, v_bgkw), ((spans_bq, spans_bk), relative_ho)
    found = launch.forward(_kernels(name), tensors, lengths, valid_bk, scale, *rest)
    return sunk(*found, sink_h)


def _kernels(name: str) -> launch.Kernels:
    """The kernels of a pattern: the package has them in a module that needs triton."""
    found: launch.Kernels = import_module("..kernels", __package__).KERNELS[name]
    return found


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.name, ctx.lengths, ctx.scale, relative_ho, place_t, sink_h = inputs
    ctx.save_for_backward(*tensors, relative_ho, place_t, sink_h, *output)
    ctx.mark_non_differentiable(output[1])


def _attend_backward(ctx: Any, grad_bhqw: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, *tables, relative_ho, place_t, sink_h, y, total = ctx.saved_tensors
    known = relative_ho is None or not relative_ho.requires_grad
    assert known, "relative_ho: the gradient of relative scores is not known"
    rest = ctx.name, ctx.lengths, ctx.scale, relative_ho, place_t
    grads = attend_backward(grad_bhqw, [q, k, v], [y, total], *tables, *rest)
    return *grads, *[None] * 8, sink_gradient(grad_bhqw, (y, total), sink_h)


attend = operator(
    "mmspec::attend",
    {"cpu": _attend_on_cpu, "cuda": _attend_on_cuda},
    lambda q_bhqw, *_: rooms(q_bhqw),
    autograd=(_keep, _attend_backward),
)
"""The attention of a pattern and the log-sum-exp of its scores, 0 where there are none."""

torch.library.register_autocast(attend, "cpu", torch.bfloat16)


def _backward_on_cpu(
    grad_bhqw: Tensor,
    inputs: list[Tensor],
    results: list[Tensor],
    valid_bk: Tensor | None,
    spans_bq: Tensor | None,
    spans_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
    relative_ho: Tensor | None = None,
    place_t: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    tensors = *inputs, grad_bhqw, *results
    scores = Scores(scale, relative_ho, place_t)
    found = [
        (_gradients(*_picked(tensors, valid_bk, samples), plan, scores), samples)
        for plan, samples in _plans(name, lengths, spans_bq, inputs[:2], training=True)
    ]
    grad_q, grad_k, grad_v = _together(found, lambda: rooms_like(inputs))
    return grad_q, grad_k, grad_v


def _gradients(
    tensors: Sequence[Tensor], valid_bk: Tensor | None, plan: Plan | Groups, scores: Scores
) -> tuple[Tensor, ...]:
    """Of a plan; tensors: its inputs, the gradient of what it gave, and that."""
    if isinstance(plan, Groups):
        return native.gradients(tensors, valid_bk, plan, scores)
    inputs, dtype = tensors[:3], tensors[0].dtype
    inner = inner_type(plan, dtype)
    q, k, v = ordered(inputs, plan, inner)
    grad, y = (moved(rows(x), plan.orders[0]).to(inner) for x in tensors[3:5])
    total_bhq1 = moved(tensors[5][..., None], plan.orders[0])
    sums = [result_like(x, torch.promote_types(inner, torch.float32)).zero_() for x in inputs]
    bias_b1k1 = bias_of(valid_bk, plan, inner)
    relative = scores.relative_ho is not None
    for call in (plan.explicit if relative or bias_b1k1 is not None else plan).calls:
        mask_qk, added = plan.mask(call, inner), scores.of_call(plan, call, k.shape[2], inner)
        for sample in samples_of(call, q):
            grads = _flash_backward(
                queries_of(grad[sample], call),
                queries_of(q[sample], call),
                keys_of(k[sample], call),
                keys_of(v[sample], call),
                queries_of(y[sample], call),
                queries_of(total_bhq1[sample], call)[..., 0],
                0.0,
                call.causal,
                attn_mask=together(visible_to(mask_qk, bias_b1k1, call, sample), added),
                scale=scores.scale,
            )
            queries_of(sums[0][sample], call).add_(grads[0])
            add_keys(sums[1][sample], grads[1], call)
            add_keys(sums[2][sample], grads[2], call)
    places = plan.inverses[0], plan.inverses[1], plan.inverses[1]
    return tuple(moved(x, place).to(dtype) for x, place in zip(sums, places, strict=True))


def _backward_on_cuda(
    grad_bhqw: Tensor,
    inputs: list[Tensor],
    results: list[Tensor],
    valid_bk: Tensor | None,
    spans_bq: Tensor | None,
    spans_bk: Tensor | None,
    name: str,
    lengths: list[int],
    scale: float,
    relative_ho: Tensor | None = None,
    place_t: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    tensors, rest = (grad_bhqw, *inputs, *results), ((spans_bq, spans_bk), relative_ho)
    return launch.backward(_kernels(name), tensors, lengths, valid_bk, scale, *rest)


attend_backward = operator(
    "mmspec::attend_backward",
    {"cpu": _backward_on_cpu, "cuda": _backward_on_cuda},
    lambda _, inputs, *__: rooms_like(inputs),
)
"""Gradients of queries, keys and values; `results` are the two of the attention."""


@register_flop_formula(attend.overloadpacket, get_raw=True)
def _flops(q: Tensor, k: Tensor, *rest: Any, **_: Any) -> int:
    return 4 * q.shape[3] * _pairs(q, k, rest[2], *rest[4:6])


@register_flop_formula(attend_backward.overloadpacket, get_raw=True)
def _backward_flops(_: Tensor, inputs: Sequence[Tensor], *rest: Any, **__: Any) -> int:
    q, k, _ = inputs
    return 10 * q.shape[3] * _pairs(q, k, rest[2], *rest[4:6])


def _pairs(
    q_bhqw: Tensor, k_bgkw: Tensor, spans_bq: Tensor | None, name: str, lengths: Sequence[int]
) -> int:
    """Pairs that are computed, of all heads; all there are where nobody knows the documents."""
    if spans_bq is not None and type(spans_bq) is not Tensor:
        return q_bhqw[..., 0].numel() * k_bgkw.shape[2]
    batch = range(len(q_bhqw))
    found = _plans(name, lengths, spans_bq, (q_bhqw, k_bgkw))
    counts = (
        plan.pairs * len(batch[samples] if isinstance(samples, slice) else samples)
        for plan, samples in found
    )
    return q_bhqw.shape[1] * sum(counts)
