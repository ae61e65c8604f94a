"""Launches the kernels of a mask: sizes, strides and room for what they write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmspec.compiler.runtime import tuning

_LOG2_E = 1.4426950408889634


Spans = tuple[Tensor | None, Tensor | None]
"""Where the documents of queries begin and end among keys, and of keys among queries, if asked."""


class Kernels(NamedTuple):
    """The kernels of one mask, and what is needed to launch them."""

    forward: Any
    backward_queries: Any
    backward_keys: Any
    tiles: Callable[..., tuple[int, int, int]]
    """The programs that each of them needs for a head, by the lengths of all segments."""
    keys: tuple[int, ...]
    """Where the lengths of the segments of keys are among all."""
    warps: tuple[int, int, int]
    """Of each of the kernels."""
    lists: Callable[[torch.device], Tensor] | None = None
    """Blocks that are drawn, where kernels go through them."""
    relative: bool = False
    """Whether they add relative scores to those of a segment with itself."""


def forward(
    kernels: Kernels,
    tensors: tuple[Tensor, Tensor, Tensor],
    lengths: Sequence[int],
    valid_bk: Tensor | None,
    scale: float,
    spans: Spans = (None, None),
    relative_ho: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention [B, H, Tq, Wv] of queries, keys and values, and the log-sum-exp of its scores."""
    q, k, v = map(_side_by_side, tensors)
    batch, heads, tokens, _ = q.shape
    y = q.new_empty(batch, tokens, heads, v.shape[-1]).transpose(1, 2)
    total = q.new_zeros(batch, heads, tokens, dtype=torch.float32)
    valid = _valid(valid_bk, kernels, lengths)
    table, most = _relative(kernels, relative_ho)
    grid = (kernels.tiles(*lengths)[0], batch * heads)
    if grid[0] * grid[1]:
        tuning.tuned(kernels.forward, grid, kernels.warps[0])(
            *(q, k, v, y, total, total if valid is None else valid),
            *(*table, *_tables(kernels, spans[0], q.device)),
            *(stride for x in (q, k, v, y) for stride in x.stride()[:3]),
            *(heads, heads // k.shape[1], scale * _LOG2_E, tokens, *most, *lengths),
            HAS_VALID=valid is not None,
        )
    return y, total


def backward(
    kernels: Kernels,
    tensors: tuple[Tensor, ...],
    lengths: Sequence[int],
    valid_bk: Tensor | None,
    scale: float,
    spans: Spans = (None, None),
    relative_ho: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values; tensors: of the output, those three, both results."""
    g, q, k, v, y = map(_side_by_side, tensors[:5])
    total = tensors[5].contiguous()
    batch, heads, tokens, _ = q.shape
    delta = (g.float() * y.float()).sum(-1).contiguous()
    dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
    valid = _valid(valid_bk, kernels, lengths)
    table, most = _relative(kernels, relative_ho)
    shared = heads // k.shape[1]
    tail = (heads, shared, scale * _LOG2_E, scale, tokens, *most, *lengths)
    given = (q, k, v, g, total, delta, total if valid is None else valid, *table)
    grid = (kernels.tiles(*lengths)[1], batch * heads)
    if grid[0] * grid[1]:
        tuning.tuned(kernels.backward_queries, grid, kernels.warps[1])(
            *(*given, *_tables(kernels, spans[0], q.device), dq),
            *(stride for x in (q, k, v, g, dq) for stride in x.stride()[:3]),
            *tail,
            HAS_VALID=valid is not None,
        )
    grid = (kernels.tiles(*lengths)[2], batch * k.shape[1])
    if grid[0] * grid[1]:
        tuning.tuned(kernels.backward_keys, grid, kernels.warps[2])(
            *(*given, *_tables(kernels, spans[1], q.device), dk, dv),
            *(stride for x in (q, k, v, g, dk, dv) for stride in x.stride()[:3]),
            *tail,
            HAS_VALID=valid is not None,
        )
    return dq, dk, dv


def _relative(
    kernels: Kernels, relative_ho: Tensor | None
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """The table of relative scores and the largest distance it knows, of kernels that add them."""
    assert kernels.relative == (relative_ho is not None), "not the scores of the kernels"
    if relative_ho is None:
        return (), ()
    return (relative_ho.float().contiguous(),), (relative_ho.shape[1] // 2,)


def _tables(kernels: Kernels, spans: Tensor | None, device: torch.device) -> tuple[Tensor, ...]:
    """What the kernels of masks with tables read besides."""
    found = () if spans is None else (spans.contiguous(),)
    return found if kernels.lists is None else (*found, kernels.lists(device))


def _side_by_side(x: Tensor) -> Tensor:
    """The same with the numbers of a token side by side, as the kernels read them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _valid(valid_bk: Tensor | None, kernels: Kernels, lengths: Sequence[int]) -> Tensor | None:
    """Valid keys of each segment, which stand first in it: int32 [B, segments]."""
    if valid_bk is None:
        return None
    parts = torch.split(valid_bk, [lengths[place] for place in kernels.keys], dim=1)
    return torch.stack([part.sum(1) for part in parts], dim=1).to(torch.int32)
