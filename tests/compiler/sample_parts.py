"""Small parts that use every convention the specialiser knows, one thing each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LIMIT = 64


@dataclass(frozen=True)
class Sizes:
    """A record of constants."""

    heads: int
    head_width: int
    mlp: tuple[int, str]


class Routing(NamedTuple):
    """What a routed layer did."""

    load_e: Tensor


def turn(x: Tensor, angle_t: Tensor) -> Tensor:
    """Add an angle to every feature."""
    # one angle a token
    return x + angle_t[None, :, None]


def quick_gelu(x: Tensor) -> Tensor:
    """Sigmoid approximation of gelu."""
    return x * torch.sigmoid(1.702 * x)


def activate(x: Tensor, kind: str) -> Tensor:
    """Apply an activation by name."""
    if kind == "gelu":
        return F.gelu(x)
    if kind == "quick-gelu":
        return quick_gelu(x)
    assert kind == "cubic"
    return x * x * x


class Attention(nn.Module):
    """Attention of {sizes.heads} heads of width {head_width}."""

    scale: float

    def __init__(
        self,
        width: int,
        sizes: Sizes,
        bias: bool = True,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        assert width <= LIMIT, "too wide"
        self.heads, self.head_width = sizes.heads, sizes.head_width
        inner = self.heads * self.head_width
        if sizes.heads > 1:
            inner *= 1
        self.scale = self.head_width**-0.5
        self.causal = causal
        self.rotary = rotary
        # queries, keys and values together
        self.qkv = nn.Linear(width, 3 * inner, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)

    def forward(self, x_btd: Tensor, mask: Tensor | None, angle_t: Tensor) -> Tensor:
        if self.rotary:
            # comment of the branch
            x_btd = turn(x_btd, angle_t)
        qkv_bthw = self.qkv(x_btd).unflatten(-1, (-1, self.head_width))
        q_bhtw, k_bhtw, v_bhtw = qkv_bthw.transpose(1, 2).split(self.heads, dim=1)
        if self.causal:
            y_bhtw = F.scaled_dot_product_attention(
                q_bhtw, k_bhtw, v_bhtw, is_causal=True, scale=self.scale, enable_gqa=self.heads > 99
            )
        else:
            y_bhtw = F.scaled_dot_product_attention(
                q_bhtw,
                k_bhtw,
                v_bhtw,
                attn_mask=mask,
                scale=self.scale,
                is_causal=self.causal,
            )
        y_btd: Tensor = self.output(y_bhtw.transpose(1, 2).flatten(2))
        return y_btd


class Mlp(nn.Module):
    """Widen to {mlp_width}, {kind}, narrow."""

    def __init__(self, width: int, mlp_width: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.up = nn.Linear(width, mlp_width)
        self.down = nn.Linear(mlp_width, width)

    def forward(self, x_btd: Tensor, routing: list[Routing] | None = None) -> Tensor:
        y_btd: Tensor = self.down(activate(self.up(x_btd), self.kind))
        return y_btd


class Experts(nn.Module):
    """{experts} experts, mixed."""

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, experts, bias=False)
        self.up = nn.Parameter(torch.empty(experts, width, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.up, std=0.1)

    def forward(self, x_btd: Tensor, routing: list[Routing]) -> Tensor:
        weight_bte = self.router(x_btd).softmax(dim=-1)
        routing.append(Routing(self._load(weight_bte)))
        return torch.einsum("bte,btd,edf->btf", weight_bte, x_btd, self.up)

    def _load(self, weight_bte: Tensor) -> Tensor:
        return weight_bte.mean(dim=(0, 1))


class Block(nn.Module):
    """Attention and feed-forward."""

    norm: nn.LayerNorm | None

    def __init__(
        self, width: int, sizes: Sizes, experts: int = 0, norm: bool = True, rotary: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-5) if norm else None
        self.attention = Attention(width, sizes, rotary=rotary)
        mlp_width, kind = sizes.mlp
        self.feed_forward: nn.Module
        if experts:
            self.feed_forward = Experts(width, experts)
        else:
            self.feed_forward = Mlp(width, mlp_width=mlp_width, kind=kind)

    def forward(
        self, x_btd: Tensor, mask: Tensor | None, angle_t: Tensor, routing: list[Routing]
    ) -> Tensor:
        h_btd = x_btd
        if self.norm is not None:
            h_btd = self.norm(x_btd)
        x_btd = x_btd + self.attention(h_btd, mask, angle_t=angle_t)
        x_btd = x_btd + self.feed_forward(x_btd, routing)
        return x_btd


class Stream(nn.Module):
    """{depth} blocks."""

    def __init__(
        self, width: int, sizes: Sizes, depth: int, experts: int = 0, rotary: bool = False
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [Block(width, sizes, experts=experts, rotary=rotary) for _ in range(depth)]
        )

    def forward(
        self, x_btd: Tensor, mask: Tensor | None, position_t: Tensor
    ) -> tuple[Tensor, list[Routing]]:
        """The tokens, and what was routed."""
        angle_t = position_t.to(x_btd.dtype) / 10

        routing: list[Routing] = []
        for _index, block in enumerate(self.blocks):
            x_btd = block(x_btd, mask, angle_t, routing)
        return x_btd, routing


class Towers(nn.Module):
    """One tower each for {names}."""

    last: nn.Linear

    def __init__(self, names: tuple[str, ...], widths: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.names = names
        self.width = width
        for name, size in zip(names, widths, strict=True):
            setattr(self, f"tower_{name}", Mlp(width, size, "gelu"))
        self.heads = nn.ModuleDict({name: nn.Linear(width, 2) for name in names})
        self.add_module("last", nn.Linear(2 * len(names), 1))

    def forward(self, x_btd: Tensor, scale: float = 1.0) -> Tensor:
        outs: list[Tensor] = []
        for name in self.names:
            y_btd = getattr(self, f"tower_{name}")(x_btd)
            outs.append(self.heads[name](y_btd))
        if math.prod((self.width, 2)) < 8 and scale > 0:
            outs = [out * scale for out in outs]
        total: Tensor = self.last(torch.cat(outs, dim=-1))
        return total

    def unused(self, x_btd: Tensor) -> Tensor:
        return self._helper(x_btd)

    def _helper(self, x_btd: Tensor) -> Tensor:
        return x_btd * 2


class Mixed(nn.Module):
    """Blocks of several kinds in one list."""

    def __init__(self, width: int, sizes: Sizes, kinds: tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width, sizes, experts=kind) for kind in kinds])

    def forward(self, x_btd: Tensor, routing: list[Routing]) -> Tensor:
        angle_t = torch.zeros(x_btd.shape[1])
        for block in self.blocks:
            x_btd = block(x_btd, None, angle_t, routing)
        return x_btd


class Cubic(nn.Module):
    """Two activations that cannot be written in place."""

    def __init__(self, kind: str, power: float) -> None:
        super().__init__()
        self.kind = kind
        self.power = power

    def forward(self, x: Tensor) -> Tensor:
        return activate(x + self.power, self.kind) + activate(x.abs(), self.kind)


class Note(nn.Module):
    """Says {text}."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x, self.text


class Named(nn.Module):
    """Holds a layer under a given name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        setattr(self, name, nn.Linear(2, 2))


def linear(width: int, kind: str) -> nn.Module:
    """A layer by name."""
    if isinstance(kind, str) and kind.startswith("b"):
        return nn.Linear(width, width)
    return nn.Linear(width, width, bias=False)


class Chain(nn.Module):
    """Named layers one after the other."""

    def __init__(self, names: tuple[str, ...], width: int, last: bool) -> None:
        super().__init__()
        self.names = names
        self.last = last
        for name in names:
            setattr(self, name, linear(width, name))

    def forward(self, x_bd: Tensor) -> Tensor:
        for name in self.names:
            layer = getattr(self, name)
            y_bd = x_bd.sin() if self.last else x_bd
            y_bd = layer(y_bd)
            x_bd = x_bd + y_bd
        return x_bd


class Summed(Chain):
    """The layers of a chain, and all that they gave."""

    def __init__(self, names: tuple[str, ...], width: int, last: bool) -> None:
        super().__init__(names, width, last)
        self.width = width

    def forward(self, x_bd: Tensor) -> Tensor:
        all_bd = x_bd * self.width
        for name in self.names:
            y_bd = getattr(self, name)(x_bd)
            x_bd = x_bd + y_bd
            all_bd = all_bd + y_bd.cos()
        return all_bd


class Scaled(nn.Module):
    """Features with weights of their own."""

    def _weigh(self, width: int, bias: bool) -> None:
        self.bias = bias
        self.weight = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def _weighed(self, x_bd: Tensor, added: float = 1.0) -> Tensor:
        if self.bias:
            return x_bd * self.weight + added
        # Nothing is added.
        return x_bd * self.weight


class Turned(Scaled):
    """A linear map to {width}, then weights."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self._weigh(width, bias)

    def reset_parameters(self) -> None:
        nn.init.eye_(self.first.weight)
        super().reset_parameters()

    def forward(self, x_bd: Tensor) -> Tensor:
        x_bd = self.first(x_bd)

        return self._weighed(x_bd)


class Scale(nn.Module):
    """Features times a number of each sample."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_bd: Tensor, scale_b: Tensor, **_: object) -> Tensor:
        return x_bd * self.weight * scale_b[:, None]


class Given(nn.Module):
    """Gives a layer all that it has, by name."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = Scale(width)

    def forward(self, x_bd: Tensor, shift_b: Tensor, scale_b: Tensor) -> Tensor:
        y_bd: Tensor = self.layer(x_bd, shift_b=shift_b, scale_b=scale_b)
        return y_bd


class Listed(nn.Module):
    """Features of which each is another's neighbour, by where they stand in a list."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.order = tuple((sizes + sizes).index(n) for n in sizes)

    def forward(self, x_bd: Tensor) -> Tensor:
        return x_bd[:, self.order]
