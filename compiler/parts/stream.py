"""Streams: blocks, and stacks of blocks of fixed depth."""
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import Attention
from mmspec.compiler.parts.cross import ContextAttention, zero_without_keys
from mmspec.compiler.parts.norm import norm_layer
from mmspec.compiler.parts.rotary import Rotation
from mmspec.compiler.parts.routing import Routing, feed_forward_layer
from mmspec.compiler.parts.scores import relative_layer, scored, scored_lines, scored_masks


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


class LayerScale(nn.Module):
    """A learned factor of each feature (Touvron et al. 2021)."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.start = start
        self.weight = nn.Parameter(torch.full((width,), start))

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, self.start)

    def forward(self, x_btd: Tensor) -> Tensor:
        return x_btd * self.weight


class TanhGate(nn.Module):
    """The tanh of a learned number, which is 0 at first (Alayrac et al. 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, x_btd: Tensor) -> Tensor:
        return x_btd * self.weight.tanh()


def scale_layer(width: int, weighed: ir.Weighing) -> nn.Module:
    """What the result of a sub-layer is multiplied by (inlined by the emitter)."""
    if isinstance(weighed, ir.LayerScale):
        return LayerScale(width, weighed.start)
    return TanhGate()


def mixer_layer(width: int, mixer: ir.Mixer) -> nn.Module:
    """What a sub-layer computes (inlined by the emitter: one return is left)."""
    if isinstance(mixer, ir.Attention) and mixer.key_width:
        return ContextAttention(width, mixer)
    if isinstance(mixer, ir.Attention):
        return Attention(width, mixer)
    return feed_forward_layer(width, mixer)


class Block(nn.Module):
    """{block.words}."""

    def __init__(self, block: ir.Block) -> None:
        super().__init__()
        self.variant = block.variant
        self.sublayers = block.sublayers
        for one in block.sublayers:
            if one.first is not None and not one.takes:
                setattr(self, one.norm_name, norm_layer(block.width, one.first))
            setattr(self, one.name, mixer_layer(block.width, one.mixer))
            setattr(self, f"{one.name}_place", one.place)
            setattr(self, f"{one.name}_turn", one.turn)
            setattr(self, f"{one.name}_context", one.context)
            if one.after is not None:
                setattr(self, f"{one.name}_norm_after", norm_layer(block.width, one.after))
            if one.weighed is not None:
                setattr(self, f"{one.name}_scale", scale_layer(block.width, one.weighed))
        self.rate = max(one.dropout for one in block.sublayers)
        if self.rate > 0:
            self.dropout = nn.Dropout(self.rate)
        for one in block.sublayers:
            if 0 < one.dropout < self.rate:
                setattr(self, f"{one.name}_dropout", nn.Dropout(one.dropout))

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        turn: tuple[Tensor, Tensor],
        turns: tuple[tuple[Tensor, Tensor], ...],
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        routing: list[Routing],
        masks: tuple[Tensor | None, ...],
        context_btd: Tensor,
        contexts: tuple[Tensor, ...],
    ) -> Tensor:
        for one in self.sublayers:
            mixer = getattr(self, one.name)
            if not one.takes:
                h_btd = getattr(self, one.norm_name)(x_btd) if one.before is not None else x_btd
            y_btd = mixer(
                h_btd,
                mask=mask if one.place is None else masks[getattr(self, f"{one.name}_place")],
                turn=turn if one.turn is None else turns[getattr(self, f"{one.name}_turn")],
                valid_bt=valid_bt,
                counts=counts,
                routing=routing,
                context_btd=context_btd
                if one.context is None
                else contexts[getattr(self, f"{one.name}_context")],
            )
            if one.after is not None:
                y_btd = getattr(self, f"{one.name}_norm_after")(y_btd)
            if one.speaks:
                y_btd = zero_without_keys(
                    y_btd,
                    context_btd
                    if one.context is None
                    else contexts[getattr(self, f"{one.name}_context")],
                    mask if one.place is None else masks[getattr(self, f"{one.name}_place")],
                )
            if 0 < one.dropout < self.rate:
                y_btd = getattr(self, f"{one.name}_dropout")(y_btd)
            elif one.dropout > 0:
                y_btd = self.dropout(y_btd)
            if one.weighed is not None:
                y_btd = getattr(self, f"{one.name}_scale")(y_btd)
            if one.scale != 1:
                y_btd = one.scale * y_btd
            if one.awaits and not one.joins:
                sum_btd = y_btd
            elif one.awaits:
                sum_btd = sum_btd + y_btd
            else:
                y_btd = x_btd + sum_btd + y_btd if one.joins else x_btd + y_btd
                x_btd = getattr(self, one.norm_name)(y_btd) if one.post is not None else y_btd
        return x_btd


class Layers(nn.Module):
    """The blocks of a stream, what turns their queries and keys, and the norm after them."""

    def __init__(self, stack: ir.Stack, depth: int, positions: int = 0) -> None:
        super().__init__()
        self.final_norm = stack.final_norm is not None
        self.layered = depth > 0
        self.repeat = stack.repeat
        self.rotary = len(stack.rotaries) == 1
        self.rotated = len(stack.rotaries) > 1
        if len(stack.rotaries) == 1:
            self.rotation = Rotation(positions, stack.rotaries[0])
        elif len(stack.rotaries) > 1:
            self.rotations = nn.ModuleList()
            for rotary in stack.rotaries:
                self.rotations.append(Rotation(positions, rotary, alone=False))
        self.related = stack.common is not None
        if stack.common is not None:
            self.lines = stack.common.lines
            self.scored = stack.scored
            self.relative = relative_layer(stack.common.heads, stack.common.relative)
        if len(stack.variants) == 1:
            self.blocks = nn.ModuleList([Block(stack.variants[0]) for _ in range(depth)])
        elif stack.variants:
            self.blocks = nn.ModuleList()
            for runs, times in stack.pieces:
                for _ in range(times):
                    for variant, count in runs:
                        if count == 1:
                            self.blocks.append(Block(stack.variants[variant]))
                        else:
                            self.blocks.extend(
                                [Block(stack.variants[variant]) for _ in range(count)]
                            )
        if stack.final_norm is not None:
            self.norm = norm_layer(stack.out.width, stack.final_norm)


class Stack(Layers):
    """Blocks one after the other, {depth} in all."""

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        positions_t: Tensor,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        routing: list[Routing],
        masks: tuple[Tensor | None, ...],
        context_btd: Tensor,
        contexts: tuple[Tensor, ...],
    ) -> Tensor:
        if self.layered:
            turn = self.rotation(positions_t) if self.rotary else (x_btd, x_btd)
            turns = tuple(each(positions_t) for each in self.rotations) if self.rotated else ()
            if self.related:
                added_hqk = scored_lines(self.relative, counts, self.lines, x_btd.device)
                if self.scored:
                    masks = scored_masks(added_hqk, masks, self.scored)
                else:
                    mask = scored(added_hqk, mask)
            for _ in range(self.repeat):
                for block in self.blocks:
                    x_btd = block(
                        x_btd,
                        mask,
                        turn,
                        turns,
                        valid_bt,
                        counts,
                        routing,
                        masks,
                        context_btd,
                        contexts,
                    )
        return self.norm(x_btd) if self.final_norm else x_btd
