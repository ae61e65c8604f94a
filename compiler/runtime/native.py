"""Sparse attention on a CPU by native code, where a compiler for it is at hand.

`native.cpp` is compiled once for a machine, by $CXX, c++, g++ or clang++, at the first attention
that is large enough, and kept in the cache: in native in $MMSPEC_CACHE, else in mmspec in
$XDG_CACHE_HOME or ~/.cache. Without a compiler, or without AVX2, attention takes torch's
kernels, as it does where the environment has MMSPEC_NATIVE=0; with MMSPEC_NATIVE=1 that is an
error.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmspec.compiler.runtime import native_build
from mmspec.compiler.runtime.sparse_groups import VECTOR, Groups
from mmspec.compiler.runtime.sparse_scores import Scores
from mmspec.compiler.runtime.sparse_views import result_like, rows

WIDEST = 256  # heads
_LEAST = 1 << 22  # multiply-adds of all pairs: what is less is not worth a thought


def fits(q_bhqw: Tensor, k_bgkw: Tensor) -> bool:
    """Whether native code, where there is any, can compute an attention of this size."""
    batch, heads, queries, width = q_bhqw.shape
    known = q_bhqw.dtype in (torch.float32, torch.bfloat16, torch.float16)
    if q_bhqw.device.type != "cpu" or not known or width > WIDEST:
        return False
    return batch * heads * queries * k_bgkw.shape[2] * width >= _LEAST


class _Tensor(ctypes.Structure):
    """As in native.cpp."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("batch", "head", "token")),
    )


class _Problem(ctypes.Structure):
    """As in native.cpp."""

    _fields_ = (
        *((name, _Tensor) for name in ("q", "k", "v", "y", "grad", "dq", "dk", "dv")),
        *((name, ctypes.c_void_p) for name in ("total", "valid")),
        *(
            (name, ctypes.c_int64)
            for name in ("batch", "heads", "key_heads", "queries", "keys", "width", "groups")
        ),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("first_query", "first_part", "parts", "columns", "seen"),
                *("query_order", "key_order", "sums", "relative", "places"),
            )
        ),
        ("most", ctypes.c_int64),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("bfloat16", "threads")),
    )


def attended(
    inputs: Sequence[Tensor], valid_bk: Tensor | None, groups: Groups, scores: Scores
) -> tuple[Tensor, Tensor]:
    """The attention of groups and the log-sum-exp of its scores."""
    q, k, v = _plain(inputs)
    y = result_like(q, q.dtype)
    total_bhq = q.new_empty(q.shape[:3], dtype=torch.float32)
    valid = None if valid_bk is None else valid_bk.expand(len(q), -1).contiguous()
    exact = _exact(scores)
    problem = _problem((q, k, v, y), (total_bhq, valid), groups, exact)
    _library().attention_forward(ctypes.byref(problem))
    return y.to(inputs[0].dtype), total_bhq


def gradients(
    tensors: Sequence[Tensor], valid_bk: Tensor | None, groups: Groups, scores: Scores
) -> tuple[Tensor, ...]:
    """Of groups; tensors: the inputs, the gradient of what they gave, that, and log-sum-exp."""
    q, k, v, grad, y = _plain(tensors[:5])
    total_bhq = tensors[5].contiguous()
    valid = None if valid_bk is None else valid_bk.expand(len(q), -1).contiguous()
    results = [result_like(x, x.dtype) for x in (q, k, v)]
    exact = _exact(scores)
    problem = _problem((q, k, v, y), (total_bhq, valid), groups, exact)
    for name, x in zip(("grad", "dq", "dk", "dv"), (grad, *results), strict=True):
        setattr(problem, name, _of(x))
    problem.threads = max(1, min(problem.threads, problem.batch * problem.key_heads))
    padded = -(-problem.width // VECTOR) * VECTOR
    sums = q.new_empty(problem.threads, 2, problem.keys, padded, dtype=torch.float32)
    problem.sums = sums.data_ptr()
    _library().attention_backward(ctypes.byref(problem))
    return tuple(x.to(of.dtype) for x, of in zip(results, tensors, strict=False))


def _library() -> ctypes.CDLL:
    found = native_build.library()
    assert found is not None
    return found


def _plain(tensors: Sequence[Tensor]) -> Iterator[Tensor]:
    """As native code reads them: bfloat16 where the first is, else float32; the numbers of a token
    side by side.
    """
    half = tensors[0].dtype == torch.bfloat16
    yield from (rows(x.to(torch.bfloat16 if half else torch.float32)) for x in tensors)


def _exact(scores: Scores) -> Scores:
    """As native code reads them."""
    if scores.relative_ho is None:
        return scores
    table, places = scores.relative_ho.float().contiguous(), scores.place_t
    return Scores(scores.scale, table, None if places is None else places.int().contiguous())


def _of(x_bhtw: Tensor) -> _Tensor:
    return _Tensor(x_bhtw.data_ptr(), *x_bhtw.stride()[:3])


def _problem(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor],
    tables: tuple[Tensor, Tensor | None],
    groups: Groups,
    scores: Scores,
) -> _Problem:
    """What forward and backward share; tables: log-sum-exp, valid keys."""
    q, k, v, _ = tensors
    assert groups.queries == q.shape[2] and groups.keys <= k.shape[2], "not those of the pattern"
    assert k.shape == v.shape and q.shape[3] == k.shape[3] and q.shape[1] % k.shape[1] == 0
    problem = _Problem(*map(_of, tensors))
    problem.total, problem.valid = (None if x is None else x.data_ptr() for x in tables)
    problem.batch, problem.heads, problem.queries, problem.width = q.shape
    problem.key_heads, problem.keys = k.shape[1:3]
    problem.groups = len(groups.first_query) - 1
    for name in ("first_query", "first_part", "parts", "columns", "seen"):
        setattr(problem, name, getattr(groups, name).data_ptr())
    for name, order in zip(("query_order", "key_order"), groups.orders, strict=True):
        setattr(problem, name, None if order is None else order.data_ptr())
    problem.scale, problem.most = scores.scale, scores.most
    for name, table in zip(("relative", "places"), scores[1:], strict=True):
        setattr(problem, name, None if table is None else table.data_ptr())
    problem.bfloat16 = q.dtype == torch.bfloat16
    problem.threads = torch.get_num_threads()
    return problem
