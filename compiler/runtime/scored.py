"""Attention by tiles whose scores are not products of queries and keys alone.

Shapes: b batch, h query heads, g key heads, q queries, k keys, w head width, o offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse import sparse_attention


def scored_attention(
    q_bhqw: Tensor,
    k_bgkw: Tensor,
    v_bgkw: Tensor,
    patterns: Sequence[tuple[str, int, int]],
    lengths: Sequence[int],
    valid_bk: Tensor | None = None,
    relative: tuple[Tensor | None, Tensor | None] = (None, None),
    spans: tuple[Tensor | None, Tensor | None] = (None, None),
    scale: float | None = None,
    sink_h: Tensor | None = None,
) -> Tensor:
    """Attention of groups of heads: the pattern of each, its query heads, its key heads.

    spans: of documents. relative: a table of relative scores of all heads, and where tokens stand.
    scale: instead of one over the root of the width. sink_h: a score of each head that joins the
    softmax. See `sparse_attention`.
    """
    table_ho, place_t = relative
    found = []
    stops = accumulate(heads for _, heads, _ in patterns)
    key_stops = accumulate(heads for *_, heads in patterns)
    for (name, heads, key_heads), stop, key_stop in zip(patterns, stops, key_stops, strict=True):
        own, keys = slice(stop - heads, stop), slice(key_stop - key_heads, key_stop)
        tensors = q_bhqw[:, own], k_bgkw[:, keys], v_bgkw[:, keys]
        table = None if table_ho is None else table_ho[own]
        of_line, sinks = (table, place_t), None if sink_h is None else sink_h[own]
        pattern = name, lengths
        found += [
            sparse_attention(*tensors, pattern, valid_bk, spans, of_line, scale, sink_h=sinks)
        ]
    return found[0] if len(found) == 1 else torch.cat(found, dim=1)
