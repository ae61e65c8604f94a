"""Attention whose queries read a context of other tokens: of a fusion, and of a block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import Attending, attend_by_head
from mmspec.compiler.parts.norm import normed_together
from mmspec.compiler.runtime.sparse import sparse_attention


def zero_without_keys(y_btd: Tensor, context_btd: Tensor, mask: Tensor | None) -> Tensor:
    """What a context gives, exactly 0 in samples that have nothing of it: no bias either.

    mask: the valid keys, bool [B, 1, 1, K]; None: all of them.
    """
    if mask is not None:
        return y_btd.masked_fill(~mask.any(dim=-1), 0.0)
    return y_btd if context_btd.shape[1] else torch.zeros_like(y_btd)


class ContextAttention(Attending):
    """{attention.heads} heads of width {attention.head_width} read another stream."""

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        context_btd: Tensor,
        **_: object,
    ) -> Tensor:
        if self.keys_normed:
            context_btd = self.context_norm(context_btd)
        q_bhtw = self.query(x_btd).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        kv_bthw = self.key_value(context_btd).unflatten(-1, (-1, self.head_width))
        k_bhtw, v_bhtw = kv_bthw.transpose(1, 2).chunk(2, dim=1)
        if self.normed and self.together:
            q_bhtw = normed_together(q_bhtw, self.query_norm)
            k_bhtw = normed_together(k_bhtw, self.key_norm)
        elif self.normed:
            q_bhtw, k_bhtw = self.query_norm(q_bhtw), self.key_norm(k_bhtw)
        return self._attended(q_bhtw, k_bhtw, v_bhtw, x_btd, mask, valid_bt, counts)


class CrossAttention(nn.Module):
    """Queries read a context; a query that sees no key gets exactly 0."""

    def __init__(
        self, width: int, heads: int, shown: ir.Patterns = (), packed: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.shown = shown
        self.pattern = shown[0][0] if shown else ""
        self.packed = packed
        self.norm_query = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x_bqd: Tensor,
        context_bkd: Tensor,
        mask: Tensor | None,
        valid_bk: Tensor | None,
        counts: tuple[int, ...],
        spans: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> Tensor:
        q_bqd = self.query(self.norm_query(x_bqd))
        k_bkd, v_bkd = self.key_value(self.norm_context(context_bkd)).chunk(2, dim=-1)
        q_bhqw, k_bhkw, v_bhkw = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q_bqd, k_bkd, v_bkd)
        )
        if self.packed and len(self.shown) > 1:
            y_bhqw = attend_by_head(q_bhqw, k_bhkw, v_bhkw, self.shown, counts, valid_bk, spans)
        elif self.packed and self.shown:
            y_bhqw = sparse_attention(
                q_bhqw, k_bhkw, v_bhkw, (self.pattern, counts), valid_bk, spans
            )
        elif len(self.shown) > 1:
            y_bhqw = attend_by_head(q_bhqw, k_bhkw, v_bhkw, self.shown, counts, valid_bk)
        elif self.shown:
            y_bhqw = sparse_attention(q_bhqw, k_bhkw, v_bhkw, (self.pattern, counts), valid_bk)
        else:
            y_bhqw = F.scaled_dot_product_attention(q_bhqw, k_bhkw, v_bhkw, attn_mask=mask)
        y_bqd: Tensor = self.output(y_bhqw.transpose(1, 2).flatten(2))
        return y_bqd
