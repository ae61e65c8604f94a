"""Fusions: several sources of one width -> one sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import visible_keys
from mmspec.compiler.parts.cross import CrossAttention
from mmspec.compiler.parts.init import STARTS
from mmspec.compiler.parts.routing import Routing
from mmspec.compiler.parts.stream import Block, join_valid, mean_pool


def has_tokens(x_btd: Tensor, valid_bt: Tensor | None) -> Tensor:
    """Which samples have a token: bool [B]."""
    if valid_bt is None:
        there = x_btd.shape[1] > 0
        return torch.full((x_btd.shape[0],), there, dtype=torch.bool, device=x_btd.device)
    return valid_bt.any(dim=1)


class GatedFusion(nn.Module):
    """Scale each source by a softmax gate over the sources present (after Arevalo et al. 2017)."""

    def __init__(self, sources: int, width: int) -> None:
        super().__init__()
        self.sources = sources
        self.gate = nn.Linear(sources * width, sources * width)

    def forward(
        self, parts: tuple[Tensor, ...], valids: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, Tensor]:
        """All tokens, and the gates [B, sources, D]."""
        pooled = [mean_pool(x_btd, valid) for x_btd, valid in zip(parts, valids, strict=True)]
        score_bf: Tensor = self.gate(torch.cat(pooled, dim=-1))
        score_bnd = torch.unflatten(score_bf, -1, (self.sources, -1))
        present = [has_tokens(x_btd, valid) for x_btd, valid in zip(parts, valids, strict=True)]
        absent_bn1 = ~torch.stack(present, dim=1)[..., None]
        lowest = torch.finfo(score_bnd.dtype).min
        gate_bnd = score_bnd.masked_fill(absent_bn1, lowest).softmax(dim=1)
        gate_bnd = gate_bnd.masked_fill(absent_bn1, 0.0)
        gates = torch.split(gate_bnd, 1, dim=1)
        y_btd = torch.cat([x * gate for x, gate in zip(parts, gates, strict=True)], dim=1)
        return y_btd, gate_bnd


class AttentionFusion(nn.Module):
    """{queries} learned queries read all tokens (Jaegle et al. 2021)."""

    def __init__(self, queries: int, width: int, heads: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(queries, width))
        self.attention = CrossAttention(width, heads)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if STARTS:
            nn.init.normal_(self.queries, std=0.02)

    def forward(self, parts: tuple[Tensor, ...], valids: tuple[Tensor | None, ...]) -> Tensor:
        context_btd = torch.cat(parts, dim=1)
        valid_bt = join_valid(parts, valids)
        mask = visible_keys(valid_bt)
        x_bqd = self.queries.expand(context_btd.shape[0], -1, -1)
        read_bqd: Tensor = self.attention(x_bqd, context_btd, mask, valid_bt, ())
        return x_bqd + read_bqd


class CrossAttentionFusion(nn.Module):
    """The first source reads the others."""

    def __init__(
        self, width: int, heads: int, shown: ir.Patterns = (), packed: bool = False
    ) -> None:
        super().__init__()
        self.attention = CrossAttention(width, heads, shown, packed)

    def forward(
        self,
        x_btd: Tensor,
        context_btd: Tensor,
        mask: Tensor | None,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        spans: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> Tensor:
        read_btd: Tensor = self.attention(x_btd, context_btd, mask, valid_bt, counts, spans)
        return x_btd + read_btd


class FilmFusion(nn.Module):
    """Scale and shift the first source by the mean of the others (Perez et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)

    def forward(self, x_btd: Tensor, context_btd: Tensor, context_bt: Tensor | None) -> Tensor:
        """The tokens of the first source, as they are in samples that have no others."""
        change_bd: Tensor = self.modulation(mean_pool(context_btd, context_bt))
        if context_bt is not None:
            change_bd = change_bd.masked_fill(~context_bt.any(dim=1, keepdim=True), 0.0)
        elif context_btd.shape[1] == 0:
            change_bd = torch.zeros_like(change_bd)
        scale_b1d, shift_b1d = change_bd[:, None].chunk(2, dim=-1)
        return x_btd * (1 + scale_b1d) + shift_b1d


class TransformerFusion(nn.Module):
    """Full attention over all tokens, {depth} deep, each source marked by an embedding."""

    def __init__(self, sources: int, depth: int, block: ir.Block) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.empty(sources, block.width))
        self.blocks = nn.ModuleList([Block(block) for _ in range(depth)])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if STARTS:
            nn.init.normal_(self.source, std=0.02)

    def forward(
        self,
        parts: tuple[Tensor, ...],
        valids: tuple[Tensor | None, ...],
        turn: tuple[Tensor, Tensor],
        counts: tuple[int, ...],
        routing: list[Routing],
    ) -> Tensor:
        valid_bt = join_valid(parts, valids)
        mask = visible_keys(valid_bt)
        marked = [x_btd + mark_d for x_btd, mark_d in zip(parts, self.source, strict=True)]
        x_btd = torch.cat(marked, dim=1)
        for block in self.blocks:
            x_btd = block(x_btd, mask, turn, (), valid_bt, counts, routing, (), x_btd, ())
        return x_btd


class SigmoidGatedFusion(nn.Module):
    """The sum of sources, each times a sigmoid of its own features."""

    def __init__(self, sources: int, width: int, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        self.gates = nn.ModuleList([nn.Linear(width, width) for _ in range(sources)])

    def forward(self, parts: tuple[Tensor, ...], valids: tuple[Tensor | None, ...]) -> Tensor:
        """[B, 1, D] of means alone, else the tokens of the first source."""
        read = [mean_pool(*each)[:, None] for each in zip(parts, valids, strict=True)]
        if not self.pooled:
            read[0] = parts[0]
        y_btd = torch.zeros_like(read[0])
        for gate, x_btd in zip(self.gates, read, strict=True):
            y_btd = y_btd + torch.sigmoid(gate(x_btd)) * x_btd
        return y_btd


class WeightedSumFusion(nn.Module):
    """The sum of sources, weighed by a softmax of their scores over those present."""

    def __init__(self, width: int, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, parts: tuple[Tensor, ...], valids: tuple[Tensor | None, ...]) -> Tensor:
        """[B, 1, D] of means alone, else the tokens of the first source."""
        read = [mean_pool(*each)[:, None] for each in zip(parts, valids, strict=True)]
        if not self.pooled:
            read[0] = parts[0]
        present = [has_tokens(*each) for each in zip(parts, valids, strict=True)]
        count = read[0].shape[1]
        score_btn = torch.cat([self.score(x).expand(-1, count, -1) for x in read], dim=-1)
        absent_b1n = ~torch.stack(present, dim=1)[:, None]
        lowest = torch.finfo(score_btn.dtype).min
        weight_btn = score_btn.masked_fill(absent_b1n, lowest).softmax(dim=-1)
        weight_btn = weight_btn.masked_fill(absent_b1n, 0.0)
        y_btd = torch.zeros_like(read[0])
        for weight_bt1, x_btd in zip(torch.split(weight_btn, 1, dim=-1), read, strict=True):
            y_btd = y_btd + weight_bt1 * x_btd
        return y_btd


class BilinearFusion(nn.Module):
    """The product of sources in {rank} features, mapped back (after Kim et al. 2017)."""

    def __init__(self, sources: int, width: int, rank: int, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        self.factors = nn.ModuleList([nn.Linear(width, rank) for _ in range(sources)])
        self.output = nn.Linear(rank, width, bias=False)

    def forward(self, parts: tuple[Tensor, ...], valids: tuple[Tensor | None, ...]) -> Tensor:
        """[B, 1, D] of means alone, else the tokens of the first source."""
        read = [mean_pool(*each)[:, None] for each in zip(parts, valids, strict=True)]
        if not self.pooled:
            read[0] = parts[0]
        present_nb = torch.stack([has_tokens(*each) for each in zip(parts, valids, strict=True)])
        factors = [
            factor(x_btd).masked_fill(~there_b[:, None, None], 1.0)
            for factor, x_btd, there_b in zip(self.factors, read, present_nb, strict=True)
        ]
        product_btr = factors[0]
        for factor_btr in factors[1:]:
            product_btr = product_btr * factor_btr
        y_btd: Tensor = self.output(product_btr)
        return y_btd.masked_fill(~present_nb.any(dim=0)[:, None, None], 0.0)
