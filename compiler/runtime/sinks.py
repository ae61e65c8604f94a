"""Sinks: a score of each head that joins the softmax over its keys, and adds nothing.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sink_attention(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    mask: Tensor | None,
    sink_h: Tensor,
    scale: float | None = None,
) -> Tensor:
    """softmax(q k / root of w) v over all pairs, a sink in each softmax.

    mask: bool, or what is added, broadcasts to [B, H, q, k]; None: every query sees every key.
    """
    shared = q_bhqw.shape[1] // k_bgkw.shape[1]
    k_bhkw, v_bhkw = (x.repeat_interleave(shared, dim=1) for x in (k_bgkw, v_bgkw))
    scores = q_bhqw @ k_bhkw.mT * (q_bhqw.shape[3] ** -0.5 if scale is None else scale)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    column = sink_h.to(scores.dtype)[:, None, None].expand(*scores.shape[:3], 1)
    weights = torch.cat((scores, column), dim=-1).softmax(dim=-1)[..., :-1]
    return weights @ v_bhkw


def sunk(y_bhqw: Tensor, total_bhq: Tensor, sink_h: Tensor | None) -> tuple[Tensor, Tensor]:
    """What was read, and the log-sum-exp of its scores, once the sink has its share."""
    if sink_h is None:
        return y_bhqw, total_bhq
    sink_h1 = sink_h.to(total_bhq.dtype)[:, None]
    share_bhq = torch.sigmoid(total_bhq - sink_h1)
    return (y_bhqw * share_bhq[..., None]).to(y_bhqw.dtype), torch.logaddexp(total_bhq, sink_h1)


def sink_gradient(
    grad_bhqw: Tensor, results: tuple[Tensor, Tensor], sink_h: Tensor | None
) -> Tensor | None:
    """The gradient of the sink; results: what `sunk` gave.

    The value of the sink is 0: less the share that it has of what the rest of its row changes.
    """
    if sink_h is None:
        return None
    y_bhqw, total_bhq = results
    change_bhq = (grad_bhqw.to(total_bhq.dtype) * y_bhqw.to(total_bhq.dtype)).sum(-1)
    share_bhq = (sink_h.to(total_bhq.dtype)[:, None] - total_bhq).exp()
    return -(share_bhq * change_bhq).sum((0, 2)).to(sink_h.dtype)
