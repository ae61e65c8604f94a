"""Heads: what is read from a stream."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.path import Path
from mmspec.compiler.parts.stream import mean_pool


def first_pool(x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
    """The first valid token, 0 where there is none: [B, D]."""
    return pick(x_btd, valid_bt, first=True)


def last_pool(x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
    """The last valid token, 0 where there is none: [B, D]."""
    return pick(x_btd, valid_bt, first=False)


def pick(x_btd: Tensor, valid_bt: Tensor | None, first: bool) -> Tensor:
    """The first or last valid token of each sample, 0 where there is none: [B, D]."""
    if x_btd.shape[1] == 0:
        return x_btd.sum(dim=1)
    if valid_bt is None:
        return x_btd[:, 0] if first else x_btd[:, -1]
    tokens = x_btd.shape[1]
    index_t = torch.arange(tokens, device=x_btd.device)
    order_t = tokens - index_t if first else index_t + 1
    at_b = (valid_bt * order_t).argmax(dim=1)
    chosen_bd = x_btd.gather(1, at_b[:, None, None].expand(-1, 1, x_btd.shape[2]))[:, 0]
    return chosen_bd.masked_fill(~valid_bt.any(dim=1, keepdim=True), 0.0)


def valid_among(
    counts: tuple[int, ...], read: tuple[bool, ...], valid_bt: Tensor | None, x_btd: Tensor
) -> Tensor:
    """The valid tokens of those segments that are read: bool [B, T]."""
    parts = [
        torch.full((count,), each, device=x_btd.device)
        for count, each in zip(counts, read, strict=True)
    ]
    read_t = torch.cat(parts)
    return read_t.expand(x_btd.shape[0], -1) if valid_bt is None else valid_bt & read_t


def with_id(ids_bt: Tensor | None, mark: int, valid_bt: Tensor | None, x_btd: Tensor) -> Tensor:
    """The valid tokens of an id, among those of a stream: bool [B, T]."""
    if ids_bt is None:
        return x_btd.new_zeros(x_btd.shape[:2], dtype=torch.bool)
    return ids_bt == mark if valid_bt is None else valid_bt & (ids_bt == mark)


def pool_tokens(x_btd: Tensor, valid_bt: Tensor | None, pool: str) -> Tensor:
    """One of the valid tokens, or their mean (inlined by the emitter: one return is left)."""
    if pool == "mean":
        return mean_pool(x_btd, valid_bt)
    if pool == "first":
        return first_pool(x_btd, valid_bt)
    return last_pool(x_btd, valid_bt)


class PooledHead(nn.Module):
    """Outputs [B, {size}], read from the {pool} token of a stream."""

    def __init__(self, width: int, size: int, pool: str, through: ir.Path = ()) -> None:
        super().__init__()
        self.pool = pool
        self.steps = bool(through)
        if through:
            self.through = Path(through)
        self.output = nn.Linear(width, size)

    def forward(self, x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
        pooled_bd = pool_tokens(x_btd, valid_bt, self.pool)
        if self.steps:
            pooled_bd = self.through(pooled_bd)
        y_bc: Tensor = self.output(pooled_bd)
        return y_bc


class LanguageModelHead(nn.Module):
    """Logits over {vocab} tokens."""

    def __init__(
        self,
        width: int,
        vocab: int,
        scale: float = 1.0,
        through: ir.Path = (),
        bias: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.steps = bool(through)
        self.tied = tied
        if through:
            self.through = Path(through)
        if not tied:
            self.output = nn.Linear(width, vocab, bias=bias)
        elif bias:
            self.bias = nn.Parameter(torch.zeros(vocab))
        self.biased = tied and bias

    def reset_parameters(self) -> None:
        if self.biased:
            nn.init.zeros_(self.bias)

    def forward(self, x_btd: Tensor, table_vd: Tensor) -> Tensor:
        if self.steps:
            x_btd = self.through(x_btd)
        if self.scale != 1:
            x_btd = self.scale * x_btd
        if self.tied:
            return F.linear(x_btd, table_vd, self.bias if self.biased else None)
        logits_btv: Tensor = self.output(x_btd)
        return logits_btv


class ContrastiveHead(nn.Module):
    """Similarities of {first} and {second}, both projected to {size} (Radford et al. 2021)."""

    def __init__(
        self,
        first: str,
        second: str,
        widths: tuple[int, int],
        size: int,
        temperature: float,
        pooling: tuple[str, str] = ("mean", "mean"),
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.first = first
        self.second = second
        self.temperature = temperature
        setattr(self, f"{first}_projection", nn.Linear(widths[0], size, bias=False))
        setattr(self, f"{second}_projection", nn.Linear(widths[1], size, bias=False))
        self.scale = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.scale, math.log(1 / self.temperature))

    def forward(
        self,
        first_btd: Tensor,
        first_bt: Tensor | None,
        second_btd: Tensor,
        second_bt: Tensor | None,
    ) -> Tensor:
        project_first = getattr(self, f"{self.first}_projection")
        project_second = getattr(self, f"{self.second}_projection")
        first_bd = pool_tokens(first_btd, first_bt, self.pooling[0])
        second_bd = pool_tokens(second_btd, second_bt, self.pooling[1])
        u_bw = F.normalize(project_first(first_bd), dim=-1)
        v_bw = F.normalize(project_second(second_bd), dim=-1)
        return self.scale.exp() * u_bw @ v_bw.T
