"""What scores are besides products of queries and keys: their scale, and relative scores.

A relative score is a table by head of what is added for how far a query is behind a key: column
`most` + d for a distance of d from -most to most. Beyond that it is 0, and so it is of tokens whose
place is negative: they have none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmspec.compiler.runtime.sparse_calls import Call, Plan
from mmspec.compiler.runtime.sparse_views import keys_of, moved, queries_of


class Scores(NamedTuple):
    """A factor of the products, and what is added to them."""

    scale: float
    relative_ho: Tensor | None = None
    """By how far a query is behind a key: [H, 2 most + 1], in at least float32."""
    place_t: Tensor | None = None
    """Where each token stands: int32 [T], of self-attention; None: as they come."""

    @property
    def most(self) -> int:
        """The largest distance that the table knows."""
        return 0 if self.relative_ho is None else self.relative_ho.shape[1] // 2

    def places(self, tokens: int, device: torch.device) -> Tensor:
        """Where each of so many tokens stands: [T]."""
        if self.place_t is not None:
            return self.place_t
        return torch.arange(tokens, dtype=torch.int32, device=device)

    def added(self, place_q: Tensor, place_k: Tensor) -> Tensor:
        """What queries [..., q] add to their scores of keys [..., k]: [H, ..., q, k]."""
        assert self.relative_ho is not None
        q, k = place_q[..., :, None], place_k[..., None, :]
        offset = q - k
        there = (offset.abs() <= self.most) & (q >= 0) & (k >= 0)
        column = (offset + self.most).clamp(0, 2 * self.most)
        return self.relative_ho[:, column].masked_fill(~there, 0.0)

    def of_call(self, plan: Plan, call: Call, keys: int, dtype: torch.dtype) -> Tensor | None:
        """What a call adds to its scores: [blocks, H, q, k]; None: nothing."""
        if self.relative_ho is None:
            return None
        place_q, place_k = (
            moved(self.places(tokens, self.relative_ho.device)[None, None, :, None], order)
            for tokens, order in zip((plan.queries, keys), plan.orders, strict=True)
        )
        q, k = queries_of(place_q, call), keys_of(place_k, call)
        return self.added(q[:, 0, :, 0], k[:, 0, :, 0]).transpose(0, 1).to(dtype)
