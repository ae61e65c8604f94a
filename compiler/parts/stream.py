"""Streams: blocks, and stacks of blocks of fixed depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import Attention, Patterns, Rotation
from mmspec.compiler.parts.routing import ByModality, Experts, Glu, Mlp, Routing


class RmsNorm(nn.Module):
    """Divide by the root mean square (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x_btd: Tensor) -> Tensor:
        scale = torch.rsqrt(x_btd.square().mean(dim=-1, keepdim=True) + self.eps)
        return x_btd * scale * self.weight


def join_valid(parts: tuple[Tensor, ...], valids: tuple[Tensor | None, ...]) -> Tensor | None:
    """Validity of concatenated tokens, None when all of them are real: bool [B, T]."""
    if all(valid_bt is None for valid_bt in valids):
        return None
    known = [
        torch.ones(x_btd.shape[:2], dtype=torch.bool, device=x_btd.device)
        if valid_bt is None
        else valid_bt
        for x_btd, valid_bt in zip(parts, valids, strict=True)
    ]
    return torch.cat(known, dim=1)


def mean_pool(x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
    """Mean over the valid tokens, 0 where there are none: [B, D]."""
    if valid_bt is None:
        return x_btd.sum(dim=1) / max(x_btd.shape[1], 1)
    count_b1 = valid_bt.sum(dim=1, keepdim=True).clamp(min=1)
    return x_btd.masked_fill(~valid_bt[..., None], 0.0).sum(dim=1) / count_b1


class Block(nn.Module):
    """Attention, then feed-forward, each normed and added to its input."""

    def __init__(self, block: ir.Block, shown: Patterns = (), causal: bool = False) -> None:
        super().__init__()
        self.post = block.sublayers[0].post
        self.rate = block.sublayers[0].dropout
        self.attention_norm: nn.Module
        self.feed_forward_norm: nn.Module
        self.feed_forward: nn.Module
        width, norm, kind = block.width, block.sublayers[0].norm, block.feed_forwards[0]
        if norm.kind == "rms":
            self.attention_norm = RmsNorm(width, norm.eps)
        else:
            self.attention_norm = nn.LayerNorm(width, eps=norm.eps, bias=norm.bias)
        self.attention = Attention(width, block.attentions[0], shown, causal)
        if norm.kind == "rms":
            self.feed_forward_norm = RmsNorm(width, norm.eps)
        else:
            self.feed_forward_norm = nn.LayerNorm(width, eps=norm.eps, bias=norm.bias)
        if isinstance(kind, ir.Mlp):
            self.feed_forward = Mlp(width, kind)
        elif isinstance(kind, ir.Glu):
            self.feed_forward = Glu(width, kind)
        elif isinstance(kind, ir.Experts):
            self.feed_forward = Experts(width, kind)
        else:
            self.feed_forward = ByModality(width, kind)
        if self.rate > 0:
            self.dropout = nn.Dropout(self.rate)

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        turn: tuple[Tensor, Tensor],
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        routing: list[Routing],
    ) -> Tensor:
        if not self.post:
            y_btd = self.attention(self.attention_norm(x_btd), mask, turn, valid_bt, counts)
            if self.rate > 0:
                y_btd = self.dropout(y_btd)
            x_btd = x_btd + y_btd
            y_btd = self.feed_forward(self.feed_forward_norm(x_btd), valid_bt, counts, routing)
            if self.rate > 0:
                y_btd = self.dropout(y_btd)
            x_btd = x_btd + y_btd
        else:
            y_btd = self.attention(x_btd, mask, turn, valid_bt, counts)
            if self.rate > 0:
                y_btd = self.dropout(y_btd)
            x_btd = self.attention_norm(x_btd + y_btd)
            y_btd = self.feed_forward(x_btd, valid_bt, counts, routing)
            if self.rate > 0:
                y_btd = self.dropout(y_btd)
            x_btd = self.feed_forward_norm(x_btd + y_btd)
        return x_btd


class Stack(nn.Module):
    """Blocks one after the other, {depth} in all."""

    def __init__(
        self,
        block: ir.Block,
        depth: int,
        final_norm: ir.Norm | None,
        shown: Patterns,
        causal: bool,
        positions: int = 0,
    ) -> None:
        super().__init__()
        self.final_norm = final_norm is not None
        self.rotary = block.attentions[0].rotary
        if self.rotary:
            self.rotation = Rotation(positions, block.attentions[0].head_width)
        self.blocks = nn.ModuleList([Block(block, shown, causal) for _ in range(depth)])
        self.norm: nn.Module
        if final_norm is not None:
            if final_norm.kind == "rms":
                self.norm = RmsNorm(block.width, final_norm.eps)
            else:
                self.norm = nn.LayerNorm(block.width, eps=final_norm.eps, bias=final_norm.bias)

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        positions_t: Tensor,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        routing: list[Routing],
    ) -> Tensor:
        turn = x_btd, x_btd  # read by nobody
        if self.rotary:
            turn = self.rotation(positions_t)
        for block in self.blocks:
            x_btd = block(x_btd, mask, turn, valid_bt, counts, routing)
        if self.final_norm:
            x_btd = self.norm(x_btd)
        return x_btd
