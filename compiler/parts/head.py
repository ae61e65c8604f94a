"""Heads: what is read from a stream."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


class PooledHead(nn.Module):
    """Outputs [B, {size}], read from the {pool} token of a stream."""

    def __init__(self, width: int, size: int, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.output = nn.Linear(width, size)

    def forward(self, x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
        if self.pool == "mean":
            pooled_bd = mean_pool(x_btd, valid_bt)
        elif self.pool == "first":
            pooled_bd = first_pool(x_btd, valid_bt)
        else:
            pooled_bd = last_pool(x_btd, valid_bt)
        y_bc: Tensor = self.output(pooled_bd)
        return y_bc


class LanguageModelHead(nn.Module):
    """Next-token logits over {vocab} tokens."""

    def __init__(self, width: int, vocab: int) -> None:
        super().__init__()
        self.output = nn.Linear(width, vocab, bias=False)

    def forward(self, x_btd: Tensor) -> Tensor:
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
    ) -> None:
        super().__init__()
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
        u_bw = F.normalize(project_first(mean_pool(first_btd, first_bt)), dim=-1)
        v_bw = F.normalize(project_second(mean_pool(second_btd, second_bt)), dim=-1)
        return self.scale.exp() * u_bw @ v_bw.T
