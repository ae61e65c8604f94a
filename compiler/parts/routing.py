"""Feed-forward layers: dense, gated, and routed to experts.

A block gives all that it has by name; each layer names what it reads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.init import STARTS
from mmspec.compiler.runtime.grouped import grouped_matmul


class Routing(NamedTuple):
    """What a routed layer did: share of assignments by expert [E], and the balance loss."""

    load_e: Tensor
    balance: Tensor


def quick_gelu(x: Tensor) -> Tensor:
    """x times the sigmoid of 1.702 x: close to gelu (Hendrycks & Gimpel 2016)."""
    return x * torch.sigmoid(1.702 * x)


def activate(x: Tensor, activation: str) -> Tensor:
    """Apply an activation by name (inlined by the emitter: one return is left)."""
    if activation == "gelu":
        return F.gelu(x)
    if activation == "gelu-tanh":
        return F.gelu(x, approximate="tanh")
    if activation == "relu":
        return F.relu(x)
    if activation == "silu":
        return F.silu(x)
    if activation == "tanh":
        return torch.tanh(x)
    assert activation == "quick-gelu"
    return quick_gelu(x)


class Mlp(nn.Module):
    """Widen to {mlp.width}, activate, narrow."""

    def __init__(self, width: int, mlp: ir.Mlp | ir.ByModality) -> None:
        super().__init__()
        self.activation = mlp.activation
        self.up = nn.Linear(
            width, mlp.width, bias=mlp.bias if "up" not in mlp.excepted else not mlp.bias
        )
        self.down = nn.Linear(mlp.width, width, bias=mlp.bias)

    def forward(self, x_btd: Tensor, **_: object) -> Tensor:
        h_btf = activate(self.up(x_btd), self.activation)
        y_btd: Tensor = self.down(h_btf)
        return y_btd


class Glu(nn.Module):
    """Gated linear unit of width {glu.width} (Shazeer 2020)."""

    def __init__(self, width: int, glu: ir.Glu) -> None:
        super().__init__()
        self.activation = glu.activation
        self.gate = nn.Linear(
            width, glu.width, bias=glu.bias if "gate" not in glu.excepted else not glu.bias
        )
        self.up = nn.Linear(
            width, glu.width, bias=glu.bias if "up" not in glu.excepted else not glu.bias
        )
        self.down = nn.Linear(glu.width, width, bias=glu.bias)

    def forward(self, x_btd: Tensor, **_: object) -> Tensor:
        h_btf = activate(self.gate(x_btd), self.activation) * self.up(x_btd)
        y_btd: Tensor = self.down(h_btf)
        return y_btd


def one_of(choice: Tensor, experts: int) -> Tensor:
    """Which of the experts each choice is: bool [..., E]."""
    return choice[..., None] == torch.arange(experts, device=choice.device)


def balance(probability_bte: Tensor, expert_btk: Tensor, valid_bt: Tensor | None) -> Routing:
    """Each expert's share of the choices of valid tokens, and the loss (Fedus et al. 2022)."""
    experts = probability_bte.shape[-1]
    chosen_bte = one_of(expert_btk, experts).sum(dim=2).to(probability_bte.dtype)
    if valid_bt is not None:
        chosen_bte = chosen_bte * valid_bt[..., None]
        probability_bte = probability_bte * valid_bt[..., None]
    load_e = chosen_bte.sum(dim=(0, 1)) / chosen_bte.sum().clamp(min=1)
    tokens = probability_bte.sum().clamp(min=1)
    mean_e = probability_bte.sum(dim=(0, 1)) / tokens
    return Routing(load_e.detach(), experts * (load_e * mean_e).sum())


class Experts(nn.Module):
    """Each token goes to {routing.choose} of {routing.experts} experts (Shazeer et al. 2017)."""

    def __init__(self, width: int, routing: ir.Experts) -> None:
        super().__init__()
        self.experts = routing.experts
        self.choose = routing.choose
        self.renormalise = routing.renormalise
        self.activation = routing.activation
        self.router = nn.Linear(width, routing.experts, bias=routing.router_bias)
        self.up = nn.Parameter(torch.empty(routing.experts, width, routing.width))
        self.down = nn.Parameter(torch.empty(routing.experts, routing.width, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if STARTS:
            nn.init.normal_(self.up, std=self.up.shape[1] ** -0.5)
            nn.init.normal_(self.down, std=self.down.shape[1] ** -0.5)

    def forward(
        self, x_btd: Tensor, valid_bt: Tensor | None, routing: list[Routing], **_: object
    ) -> Tensor:
        precise = torch.promote_types(x_btd.dtype, torch.float32)
        score_bte: Tensor = self.router(x_btd)
        probability_bte = score_bte.to(precise).softmax(dim=-1)
        # Not topk: of equal probabilities the expert of lower number comes first.
        ranked_bte, order_bte = probability_bte.sort(dim=-1, descending=True, stable=True)
        weight_btk, expert_btk = ranked_bte[..., : self.choose], order_bte[..., : self.choose]
        if self.renormalise:
            weight_btk = weight_btk / weight_btk.sum(dim=-1, keepdim=True)
        routing.append(balance(probability_bte, expert_btk, valid_bt))

        order_r = expert_btk.flatten().argsort(stable=True)
        rows_e = one_of(expert_btk, self.experts).sum(dim=(0, 1, 2))
        # The router's dtype is the one that autocast wants, where it is on.
        up, down = self.up.to(score_bte.dtype), self.down.to(score_bte.dtype)
        x_rd = x_btd.flatten(0, 1)[order_r // self.choose].to(score_bte.dtype)
        h_rf = activate(grouped_matmul(x_rd, up, rows_e), self.activation)
        y_rd = grouped_matmul(h_rf, down, rows_e)
        y_rd = y_rd * weight_btk.flatten()[order_r, None].to(y_rd.dtype)
        y_td = torch.zeros_like(x_btd, dtype=y_rd.dtype).flatten(0, 1)
        return y_td.index_add(0, order_r // self.choose, y_rd).view_as(x_btd)


class ByModality(nn.Module):
    """One mlp for the tokens of each modality."""

    def __init__(self, width: int, mlps: ir.ByModality) -> None:
        super().__init__()
        self.segments = mlps.segments
        for segment in mlps.segments:
            setattr(self, f"{segment}_mlp", Mlp(width, mlps))

    def forward(self, x_btd: Tensor, counts: tuple[int, ...], **_: object) -> Tensor:
        mlps = [getattr(self, f"{segment}_mlp") for segment in self.segments]
        parts = zip(mlps, torch.split(x_btd, list(counts), dim=1), strict=True)
        return torch.cat([mlp(part_btd) for mlp, part_btd in parts], dim=1)


def feed_forward_layer(width: int, layer: ir.FeedForward) -> nn.Module:
    """A feed-forward of a block (inlined by the emitter: one return is left)."""
    if isinstance(layer, ir.Mlp):
        return Mlp(width, layer)
    if isinstance(layer, ir.Glu):
        return Glu(width, layer)
    if isinstance(layer, ir.Experts):
        return Experts(width, layer)
    return ByModality(width, layer)
