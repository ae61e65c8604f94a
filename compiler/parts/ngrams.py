"""N-grams of bytes: what the row of a byte is told of those before it in its word."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.derived import Derived
from mmspec.compiler.parts.init import STARTS

PRIME = 2**31 - 1
BASE = 257


class RunHash(Derived):
    """The rows of the runs of bytes [B, T] that end with each: int64 [B, T, {runs}]."""

    def __init__(self, ngrams: ir.Ngrams, max_tokens: int) -> None:
        super().__init__()
        self.tokens = max_tokens
        self.sizes = ngrams.sizes
        self.words = ngrams.words
        self.lower = ngrams.lower
        self.buckets = ngrams.buckets
        self.runs = ngrams.runs
        self.power_t: Tensor
        self.inverse_t: Tensor
        powers_t = torch.empty(max_tokens, dtype=torch.int64)
        self.register_buffer("power_t", powers_t, persistent=False)
        self.register_buffer("inverse_t", powers_t.clone(), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for power_t, base in ((self.power_t, BASE), (self.inverse_t, pow(BASE, -1, PRIME))):
            powers = [pow(base, t, PRIME) for t in range(self.tokens)]
            power_t.copy_(torch.tensor(powers, dtype=torch.int64))

    def forward(self, ids_bt: Tensor) -> Tensor:
        tokens = ids_bt.shape[1]
        at_t = torch.arange(tokens, device=ids_bt.device)
        if self.lower:
            ids_bt = torch.where((ids_bt >= 65) & (ids_bt <= 90), ids_bt + 32, ids_bt)
        space_bt = ids_bt == 32
        begins_bt = space_bt | F.pad(space_bt, (1, 0))[:, :tokens]
        word_bt = torch.where(begins_bt, at_t, 0).cummax(dim=1).values
        starts = [torch.maximum(word_bt, at_t - (size - 1)) for size in self.sizes]
        if self.words:
            starts.append(word_bt)
        start_btr = torch.stack(starts, dim=-1)
        # A run is the difference of two sums, as h(s..t) is that of (byte + 1) BASE^(t - s).
        sum_bt = F.pad(((ids_bt + 1) * self.inverse_t[:tokens] % PRIME).cumsum(dim=1), (1, 0))
        before_btr = sum_bt.gather(1, start_btr.flatten(1)).view_as(start_btr)
        run_btr = (sum_bt[:, 1:, None] - before_btr) % PRIME * self.power_t[:tokens, None] % PRIME
        first_r = self.buckets * torch.arange(self.runs, device=ids_bt.device)
        rows_btr: Tensor = first_r + run_btr % self.buckets
        return rows_btr


class Ngrams(nn.Module):
    """Rows of bytes [B, T, {width}] -> their mean with those of the runs that end with each.

    A run of bytes has the row that its hash finds (after Pagnoni et al. 2024).
    """

    def __init__(self, width: int, ngrams: ir.Ngrams, max_tokens: int) -> None:
        super().__init__()
        self.runs = ngrams.runs
        self.rate = ngrams.dropout
        self.table = nn.Embedding(ngrams.rows, width)
        self.hash = RunHash(ngrams, max_tokens)
        if self.rate > 0:
            self.dropout = nn.Dropout(self.rate)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if STARTS:
            nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, ids_bt: Tensor, x_btd: Tensor) -> Tensor:
        row_btrd = self.table(self.hash(ids_bt))
        if self.rate > 0:
            row_btrd = row_btrd * self.dropout(torch.ones_like(row_btrd[..., :1]))
        y_btd: Tensor = (x_btd + row_btrd.sum(dim=2)) / (1 + self.runs)
        return y_btd
