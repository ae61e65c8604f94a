"""Attention of a block; masks are bool, true where a query sees a key.

Self-attention that passes over tiles has a mask only where it asks for documents: their spans.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.init import STARTS
from mmspec.compiler.parts.norm import norm_layer, normed_together
from mmspec.compiler.parts.rotary import (
    rotate,
    rotate_neighbours,
    rotate_some,
    rotate_some_neighbours,
)
from mmspec.compiler.parts.scores import (
    Sink,
    offsets,
    relative_layer,
    relative_scores,
    scored,
    scored_lines,
)
from mmspec.compiler.runtime.scored import scored_attention
from mmspec.compiler.runtime.sinks import sink_attention
from mmspec.compiler.runtime.sparse import sparse_attention


def visible_keys(valid_bk: Tensor | None) -> Tensor | None:
    """The valid keys, the same for every query: bool [B, 1, 1, Tk]; None: all of them."""
    return None if valid_bk is None else valid_bk[:, None, None, :]


def visible(mask_qk: Tensor, valid_bk: Tensor | None) -> Tensor:
    """The keys that the mask shows and that are valid: bool [B or 1, 1, Tq, Tk]."""
    return mask_qk[None, None] if valid_bk is None else mask_qk & valid_bk[:, None, None, :]


def visible_by_head(mask_hqk: Tensor, valid_bk: Tensor | None) -> Tensor:
    """The keys that each head's mask shows and that are valid: bool [B or 1, H, Tq, Tk].

    The masks may also be those of each sample: [B, H, Tq, Tk].
    """
    if valid_bk is None:
        return mask_hqk if mask_hqk.dim() == 4 else mask_hqk[None]
    return mask_hqk & valid_bk[:, None, None, :]


def visible_by_sample(mask_bqk: Tensor, valid_bk: Tensor | None) -> Tensor:
    """The keys that each sample's mask shows and that are valid: bool [B, 1, Tq, Tk]."""
    mask_b1qk = mask_bqk[:, None]
    return mask_b1qk if valid_bk is None else mask_b1qk & valid_bk[:, None, None, :]


def by_head(masks_qk: tuple[Tensor, ...], heads: tuple[int, ...]) -> Tensor:
    """The masks of groups of so many heads: bool [H, Tq, Tk], or of each sample [B, H, Tq, Tk]."""
    pairs = zip(masks_qk, heads, strict=True)
    return torch.cat([torch.stack([mask_qk] * count, -3) for mask_qk, count in pairs], -3)


def attend_by_head(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    patterns: tuple[tuple[str, int, int], ...],
    counts: tuple[int, ...],
    valid_bk: Tensor | None,
    spans: tuple[Tensor | None, Tensor | None] = (None, None),
    relative: tuple[Tensor | None, Tensor | None] = (None, None),
) -> Tensor:
    """Attention whose heads see by patterns of their own: name, query heads, key heads of each.

    relative: a table of relative scores by head, and where tokens stand.
    """
    heads, kv_heads = [heads for _, heads, _ in patterns], [heads for *_, heads in patterns]
    table_ho, place_t = relative
    parts = zip(
        patterns,
        torch.split(q_bhqw, heads, dim=1),
        torch.split(k_bgkw, kv_heads, dim=1),
        torch.split(v_bgkw, kv_heads, dim=1),
        [None] * len(heads) if table_ho is None else torch.split(table_ho, heads),
        strict=True,
    )
    y = [
        sparse_attention(q, k, v, (name, counts), valid_bk, spans, (table, place_t))
        for (name, *_), q, k, v, table in parts
    ]
    return torch.cat(y, dim=1)


def packed(document_bt: Tensor | None, x: Tensor, tokens: int) -> Tensor:
    """The document of each of so many tokens of a modality: int64 [B, T]; None: one document."""
    if document_bt is None:
        return torch.zeros(x.shape[0], tokens, dtype=torch.int64, device=x.device)
    return document_bt


def document_places(document_bt: Tensor) -> Tensor:
    """Where each token stands in its document, from 0: int32 [B, T]."""
    place_t = torch.arange(document_bt.shape[1], device=document_bt.device, dtype=torch.int32)
    return place_t - document_runs(document_bt)[:, 0]


def document_ids(ends: Sequence[Sequence[int]], tokens: int) -> Tensor:
    """Cumulative lengths of each sample's documents -> the document of each token: int64 [B, T].

    A sample of documents of 3 and 2 tokens has ends 3, 5; tokens after the last end are one more.
    """
    place_t = torch.arange(tokens)
    return torch.stack([torch.bucketize(place_t, torch.tensor(row), right=True) for row in ends])


def document_spans(queries: tuple[Tensor, ...], keys: tuple[Tensor, ...]) -> Tensor:
    """Where the document of each query begins and ends in each segment of keys: [B, S, 2, Tq].

    Each segment is given by the document of its tokens; int32, both 0 where there is none.
    """
    rows = [torch.cat([shared_span(query, key) for query in queries], dim=2) for key in keys]
    return torch.stack(rows, dim=1)


def shared_span(document_bq: Tensor, document_bk: Tensor) -> Tensor:
    """Where the document of each query begins and ends among the keys: int32 [B, 2, Tq].

    Tokens of one document stand together; of those that do not, the first that do are taken.
    """
    own_b2q = document_runs(document_bq)
    if document_bq is document_bk:
        return own_b2q
    sorted_bk, order_bk = document_bk.sort(dim=1, stable=True)
    place_bq = torch.searchsorted(sorted_bk, document_bq)
    start_bq = F.pad(order_bk, (0, 1)).gather(1, place_bq)
    stop_bq = F.pad(document_runs(document_bk)[:, 1], (0, 1)).gather(1, start_bq)
    there_bq = place_bq < torch.searchsorted(sorted_bk, document_bq, right=True)
    sorted_bq, order_bq = document_bq.sort(dim=1, stable=True)
    first_bq = order_bq.gather(1, torch.searchsorted(sorted_bq, document_bq))
    there_bq = there_bq & (first_bq == own_b2q[:, 0])
    return torch.stack((start_bq, stop_bq), dim=1).int() * there_bq[:, None]


def document_runs(document_bt: Tensor) -> Tensor:
    """Where the tokens begin and end that have a token's document and stand with it: int32."""
    tokens = document_bt.shape[1]
    place_t = torch.arange(tokens, device=document_bt.device, dtype=torch.int32)
    # Of as many columns as tokens: a slice of one less is another program for two of them.
    first_bt = (document_bt != document_bt.roll(1, 1)) | (place_t == 0)
    last_bt = (document_bt != document_bt.roll(-1, 1)) | (place_t == tokens - 1)
    start_bt = torch.where(first_bt, place_t, 0).cummax(dim=1).values
    stop_bt = torch.where(last_bt, place_t + 1, tokens).flip(1).cummin(dim=1).values.flip(1)
    return torch.stack((start_bt, stop_bt), dim=1)


class PartlyBiased(nn.Module):
    """A linear map of {width} features; not all of its rows have a bias."""

    def __init__(self, width: int, rows: tuple[tuple[int, bool], ...]) -> None:
        super().__init__()
        self.width = width
        self.counts = tuple(count for count, _ in rows)
        self.first = rows[0][1]
        self.weight = nn.Parameter(torch.empty(sum(count for count, _ in rows), width))
        self.bias = nn.Parameter(torch.empty(sum(count for count, biased in rows if biased)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if STARTS:
            bound = self.width**-0.5
            nn.init.uniform_(self.weight, -bound, bound)
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x_btd: Tensor) -> Tensor:
        if self.first and len(self.counts) == 3:
            first_r, last_r = self.bias.split((self.counts[0], self.counts[2]))
            bias_r = torch.cat((F.pad(first_r, (0, self.counts[1])), last_r))
        elif self.first:
            bias_r = F.pad(self.bias, (0, self.counts[1]))
        else:
            bias_r = F.pad(self.bias, (self.counts[0], sum(self.counts[2:])))
        return F.linear(x_btd, self.weight, bias_r)


class Attending(nn.Module):
    """How queries read keys and values: what every attention of a block does."""

    def __init__(self, width: int, attention: ir.Attention) -> None:
        super().__init__()
        self.variant = attention.variant
        self.heads = attention.heads
        self.kv_heads = attention.kv_heads
        self.head_width = attention.head_width
        self.shown = attention.shown
        self.pattern = attention.shown[0][0] if attention.shown else ""
        self.causal = attention.causal
        self.packed = attention.packed
        self.rotary = attention.rotary is not None
        self.partial = attention.rotary is not None and attention.rotary.width < self.head_width
        self.interleaved = attention.rotary is not None and attention.rotary.interleaved
        self.scored = attention.scores is not None and attention.scores.relative is not None
        self.normed = attention.scores is not None and attention.scores.norm is not None
        self.together = attention.scores is not None and attention.scores.together
        self.scale = attention.scale
        self.sunk = attention.scores is not None and attention.scores.sink
        self.altered = self.scored or self.sunk or self.scale is not None
        if attention.scores is not None and attention.scores.relative is not None:
            self.lines = attention.scores.lines
            self.relative = relative_layer(attention.heads, attention.scores.relative)
        self.keys_normed = attention.key_norm is not None
        if attention.key_norm is not None:
            self.context_norm = norm_layer(attention.key_width, attention.key_norm)
        heads = self.heads + 2 * self.kv_heads
        if attention.key_width:
            queries, keys = self.heads * self.head_width, 2 * self.kv_heads * self.head_width
            self.query = nn.Linear(width, queries, bias=attention.queries_biased)
            if len(attention.key_rows) > 1:
                self.key_value: nn.Module = PartlyBiased(attention.key_width, attention.key_rows)
            else:
                self.key_value = nn.Linear(attention.key_width, keys, bias=attention.keys_biased)
        elif attention.partial:
            self.qkv: nn.Module = PartlyBiased(width, attention.rows)
        else:
            biased = attention.bias if "query" not in attention.excepted else not attention.bias
            self.qkv = nn.Linear(width, heads * self.head_width, bias=biased)
        if attention.scores is not None and attention.scores.norm is not None:
            of_queries = self.heads * self.head_width if self.together else self.head_width
            of_keys = self.kv_heads * self.head_width if self.together else self.head_width
            self.query_norm = norm_layer(of_queries, attention.scores.norm)
            self.key_norm = norm_layer(of_keys, attention.scores.norm)
        if attention.scores is not None and attention.scores.sink:
            self.sink = Sink(self.heads)
        self.output = nn.Linear(self.heads * self.head_width, width, bias=attention.bias)

    def _attended(
        self,
        q_bhtw: Tensor,
        k_bhtw: Tensor,
        v_bhtw: Tensor,
        x_btd: Tensor,
        mask: Tensor | None,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
    ) -> Tensor:
        if self.scored and len(self.lines) == 1 and not self.shown:
            mask = scored(self.relative(offsets(x_btd.shape[1], x_btd.device)), mask)
        elif self.scored and not self.shown:
            mask = scored(scored_lines(self.relative, counts, self.lines, x_btd.device), mask)
        if self.sunk and not self.shown:
            sink_h = self.sink.weight
            y_bhtw = sink_attention(q_bhtw, k_bhtw, v_bhtw, mask, sink_h, scale=self.scale)
        elif self.altered and self.shown:
            y_bhtw = scored_attention(
                q_bhtw,
                k_bhtw,
                v_bhtw,
                self.shown,
                counts,
                valid_bt,
                spans=(mask, mask) if self.packed else (None, None),
                relative=relative_scores(self.relative, counts, self.lines, x_btd.device)
                if self.scored
                else (None, None),
                scale=self.scale,
                sink_h=self.sink.weight if self.sunk else None,
            )
        elif self.causal and not self.shown:
            y_bhtw = F.scaled_dot_product_attention(
                q_bhtw,
                k_bhtw,
                v_bhtw,
                is_causal=True,
                scale=self.scale,
                enable_gqa=self.kv_heads != self.heads,
            )
        elif self.packed and len(self.shown) > 1:
            y_bhtw = attend_by_head(
                q_bhtw, k_bhtw, v_bhtw, self.shown, counts, valid_bt, (mask, mask)
            )
        elif self.packed and self.shown:
            y_bhtw = sparse_attention(
                q_bhtw, k_bhtw, v_bhtw, (self.pattern, counts), valid_bt, (mask, mask)
            )
        elif len(self.shown) > 1:
            y_bhtw = attend_by_head(q_bhtw, k_bhtw, v_bhtw, self.shown, counts, valid_bt)
        elif self.causal and self.shown:
            # of itself no query sees the tokens of padding, which come last
            y_bhtw = sparse_attention(q_bhtw, k_bhtw, v_bhtw, (self.pattern, counts))
        elif self.shown:
            y_bhtw = sparse_attention(q_bhtw, k_bhtw, v_bhtw, (self.pattern, counts), valid_bt)
        else:
            y_bhtw = F.scaled_dot_product_attention(
                q_bhtw,
                k_bhtw,
                v_bhtw,
                attn_mask=mask,
                scale=self.scale,
                enable_gqa=self.kv_heads != self.heads,
            )
        y_btd: Tensor = self.output(y_bhtw.transpose(1, 2).flatten(2))
        return y_btd


class Attention(Attending):
    """{attention.heads} heads of width {attention.head_width} (Vaswani et al. 2017)."""

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        turn: tuple[Tensor, Tensor],
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        **_: object,
    ) -> Tensor:
        qkv_bthw = self.qkv(x_btd).unflatten(-1, (-1, self.head_width))
        if self.kv_heads == self.heads:
            q_bhtw, k_bhtw, v_bhtw = qkv_bthw.transpose(1, 2).chunk(3, dim=1)
        else:
            q_bhtw, k_bhtw, v_bhtw = qkv_bthw.transpose(1, 2).split(
                (self.heads, self.kv_heads, self.kv_heads), dim=1
            )
        if self.normed and self.together:
            q_bhtw = normed_together(q_bhtw, self.query_norm)
            k_bhtw = normed_together(k_bhtw, self.key_norm)
        elif self.normed:
            q_bhtw, k_bhtw = self.query_norm(q_bhtw), self.key_norm(k_bhtw)
        if self.partial and self.interleaved:
            q_bhtw = rotate_some_neighbours(q_bhtw, turn)
            k_bhtw = rotate_some_neighbours(k_bhtw, turn)
        elif self.partial:
            q_bhtw, k_bhtw = rotate_some(q_bhtw, turn), rotate_some(k_bhtw, turn)
        elif self.interleaved:
            q_bhtw, k_bhtw = rotate_neighbours(q_bhtw, turn), rotate_neighbours(k_bhtw, turn)
        elif self.rotary:
            q_bhtw, k_bhtw = rotate(q_bhtw, turn), rotate(k_bhtw, turn)
        return self._attended(q_bhtw, k_bhtw, v_bhtw, x_btd, mask, valid_bt, counts)
