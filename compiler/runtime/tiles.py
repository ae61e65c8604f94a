"""Attention by tiles on a GPU: what one tile of queries and one of keys do to each other.

Softmax runs in base 2 and in float32 (FlashAttention-2, Dao 2023). Scores that a mask hides are
set aside before and after the exponential, so that a query that sees no key sums to exactly 0.
Shapes: q queries, k keys, w head width, v width of a value.
"""
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

HIDDEN = tl.constexpr(-1.0e30)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def rows(pointer, token, column, stride, exists, WIDTH: tl.constexpr, FAR: tl.constexpr):
    """Tokens by columns, 0 past an end; one of the two is a row of indices, the other a column."""
    if FAR:
        token = token.to(tl.int64)
    return tl.load(pointer + token * stride + column, mask=exists & (column < WIDTH), other=0.0)


@triton.jit
def write(pointer, token, column, stride, exists, x, WIDTH: tl.constexpr, FAR: tl.constexpr):
    """Write tokens by columns, but for those past an end."""
    if FAR:
        token = token.to(tl.int64)
    x = x.to(pointer.dtype.element_ty)
    tl.store(pointer + token * stride + column, x, mask=exists & (column < WIDTH))


@triton.jit
def behind(pointer, query, key, most):
    """What is added to scores for how far queries are behind keys; one a row, one a column."""
    column = query - key + most
    return tl.load(pointer + column, mask=(column >= 0) & (column <= 2 * most), other=0.0) / LN_2


@triton.jit
def read(x_qw, best_q, total_q, y_qv, k_wk, v_kv, seen, scale, MASKED: tl.constexpr, added=None):
    """Queries read one more tile of keys: the greatest score so far, the sum, weighted values."""
    s_qk = tl.dot(x_qw, k_wk, input_precision="ieee") * scale
    if added is not None:
        s_qk += added
    if MASKED:
        s_qk = tl.where(seen, s_qk, HIDDEN)
    greatest_q = tl.maximum(best_q, tl.max(s_qk, 1))
    p_qk = tl.exp2(s_qk - greatest_q[:, None])
    if MASKED:
        p_qk = tl.where(seen, p_qk, 0.0)
    decay_q = tl.exp2(best_q - greatest_q)
    total_q = total_q * decay_q + tl.sum(p_qk, 1)
    y_qv = y_qv * decay_q[:, None]
    y_qv += tl.dot(p_qk.to(v_kv.dtype), v_kv, input_precision="ieee")
    return greatest_q, total_q, y_qv


@triton.jit
def settle(best_q, total_q, y_qv):
    """The mean of the values, and the log-sum-exp of the scores; both 0 where nothing was seen."""
    some_q = total_q > 0.0
    total_q = tl.where(some_q, total_q, 1.0)
    best_q = tl.where(some_q, best_q, 0.0)
    return y_qv / total_q[:, None], (best_q + tl.log2(total_q)) * LN_2


@triton.jit
def pull(
    x_qw, g_qv, total_q, delta_q, dx_qw, k_wk, v_vk, seen, scale, MASKED: tl.constexpr, added=None
):  # fmt: skip
    """What a tile of keys adds to the gradient of queries, but for the scale."""
    s_qk = tl.dot(x_qw, k_wk, input_precision="ieee") * scale
    if added is not None:
        s_qk += added
    p_qk = tl.exp2(s_qk - total_q[:, None])
    if MASKED:
        p_qk = tl.where(seen, p_qk, 0.0)
    ds_qk = p_qk * (tl.dot(g_qv, v_vk, input_precision="ieee") - delta_q[:, None])
    return dx_qw + tl.dot(ds_qk.to(k_wk.dtype), tl.trans(k_wk), input_precision="ieee")


@triton.jit
def push(
    k_kw, v_kv, dk_kw, dv_kv, x_wq, g_vq, total_q, delta_q, seen, scale, MASKED: tl.constexpr,
    added=None,
):  # fmt: skip
    """What a tile of queries adds to the gradients of keys (but for the scale) and of values."""
    s_kq = tl.dot(k_kw, x_wq, input_precision="ieee") * scale
    if added is not None:
        s_kq += added
    p_kq = tl.exp2(s_kq - total_q[None, :])
    if MASKED:
        p_kq = tl.where(seen, p_kq, 0.0)
    dv_kv += tl.dot(p_kq.to(g_vq.dtype), tl.trans(g_vq), input_precision="ieee")
    ds_kq = p_kq * (tl.dot(v_kv, g_vq, input_precision="ieee") - delta_q[None, :])
    dk_kw += tl.dot(ds_kq.to(x_wq.dtype), tl.trans(x_wq), input_precision="ieee")
    return dk_kw, dv_kv
