"""Decoding: the next tokens through the blocks of a stream.

Parameters after `*` are constants of the spec; the emitter folds them.
"""

# pyright: reportPossiblyUnboundVariable=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.attention import Attention
from mmspec.compiler.parts.cross import ContextAttention
from mmspec.compiler.parts.decoding import CachedKeys, KeyValue, forget, rotated, turn_of
from mmspec.compiler.parts.norm import normed_together
from mmspec.compiler.parts.scores import scored
from mmspec.compiler.parts.stream import Block, Stack
from mmspec.compiler.runtime.sinks import sink_attention


@dataclass(eq=False)
class NextKeys:
    """Keys of layers that see alike, while the next tokens pass them: kept ones, then theirs."""

    kept: CachedKeys
    context: tuple[CachedKeys, ...]
    place_bs: Tensor
    mask: Tensor
    layers: list[KeyValue] = field(default_factory=list)

    def past(self) -> KeyValue:
        """What is kept of the next of the layers."""
        return self.kept.layers[len(self.layers)]

    def around(self) -> tuple[KeyValue, ...]:
        """What that layer keeps of other segments."""
        return tuple(known.layers[len(self.layers)] for known in self.context)

    def cached(self) -> CachedKeys:
        """All of them, once all layers are passed."""
        return CachedKeys(self.place_bs, tuple(self.layers))


def next_keys(
    kept: CachedKeys,
    at_bc: Tensor,
    sees: Callable[..., Tensor],
    context: tuple[CachedKeys, ...] = (),
) -> NextKeys:
    """Kept keys as the next tokens see them, in layers that see alike."""
    place_bs = torch.cat((kept.place_bs, at_bc), dim=1)
    places = (*(known.place_bs for known in context), place_bs)
    mask = sees(at_bc, places if context else place_bs)
    return NextKeys(kept, context, place_bs, mask)


def next_stacked(
    stack: Stack,
    x_bcd: Tensor,
    at_bc: Tensor,
    own: CachedKeys,
    context: tuple[CachedKeys, ...],
    crossed: CachedKeys,
    *,
    of: ir.Block,
    repeat: int,
    final_norm: bool,
    segment: ir.Segment,
    joint: bool,
    on_line: bool,
    common: bool,
    sees: Callable[..., Tensor],
    keeps: Callable[[Tensor, Tensor], Tensor],
    forgets: bool,
    most: int | None,
) -> tuple[Tensor, CachedKeys]:
    """The next tokens through all blocks, and what is kept of the keys of their modality."""
    place_bs = torch.cat((own.place_bs, at_bc), dim=1)
    if joint:
        mask = sees(at_bc, (*(known.place_bs for known in context), place_bs))
    else:
        mask = sees(at_bc, place_bs)
    rotary = of.rotary
    turn = (x_bcd, x_bcd) if rotary is None else turn_of(at_bc, rotary=rotary)
    offset_bcs = at_bc[:, :, None] - place_bs[:, None]
    if common:
        mask = next_scored(stack.relative, offset_bcs, mask, joint=joint)
    there = (crossed.place_bs >= 0)[:, None, None]
    layers: list[KeyValue] = []
    for layer, block in enumerate(stack.blocks if repeat == 1 else [*stack.blocks] * repeat):
        assert isinstance(block, Block)
        around = tuple(known.layers[layer] for known in context)
        x_bcd, kept = next_layer(
            block,
            x_bcd,
            mask,
            turn,
            offset_bcs,
            own.layers[layer],
            around,
            crossed.layers[layer],
            there,
            of=of,
            segment=segment,
            joint=joint,
            on_line=on_line,
        )
        layers.append(kept)
    if final_norm:
        x_bcd = stack.norm(x_bcd)
    cached = CachedKeys(place_bs, tuple(layers))
    if forgets:
        cached = forget(cached, keeps(place_bs, at_bc[:, -1:] + 1), most)
    return x_bcd, cached


def next_layer(
    block: Block,
    x_bcd: Tensor,
    mask: Tensor,
    turn: tuple[Tensor, Tensor],
    offset_bcs: Tensor,
    past: KeyValue,
    around: tuple[KeyValue, ...],
    other: KeyValue,
    there: Tensor,
    *,
    of: ir.Block,
    segment: ir.Segment,
    joint: bool,
    on_line: bool,
) -> tuple[Tensor, KeyValue]:
    """The next tokens through one block, and its keys and values of them and those before."""
    for one in of.sublayers:
        mixer = getattr(block, one.name)
        if not one.takes:
            h_bcd = getattr(block, one.norm_name)(x_bcd) if one.before is not None else x_bcd
        if isinstance(one.mixer, ir.Attention) and one.reads:
            y_bcd = next_crossed(mixer, h_bcd, there, other, of=one.mixer)
        elif isinstance(one.mixer, ir.Attention):
            y_bcd, kept = next_attended(
                mixer,
                h_bcd,
                mask,
                turn,
                offset_bcs,
                past,
                around,
                of=one.mixer,
                segment=segment,
                joint=joint,
                on_line=on_line,
            )
        elif one.mixer.split:
            y_bcd = getattr(mixer, f"{segment.name}_mlp")(h_bcd)
        else:
            y_bcd = mixer(h_bcd, valid_bt=None, routing=[])
        if one.after is not None:
            y_bcd = getattr(block, f"{one.name}_norm_after")(y_bcd)
        if one.speaks:
            y_bcd = torch.where(there.any(dim=-1), y_bcd, 0.0)
        if one.weighed is not None:
            y_bcd = getattr(block, f"{one.name}_scale")(y_bcd)
        if one.scale != 1:
            y_bcd = one.scale * y_bcd
        if one.awaits and not one.joins:
            sum_bcd = y_bcd
        elif one.awaits:
            sum_bcd = sum_bcd + y_bcd
        else:
            y_bcd = x_bcd + sum_bcd + y_bcd if one.joins else x_bcd + y_bcd
            x_bcd = getattr(block, one.norm_name)(y_bcd) if one.post is not None else y_bcd
    return x_bcd, kept


def next_scored(relative: nn.Module, offset_bcs: Tensor, mask: Tensor, *, joint: bool) -> Tensor:
    """What the next tokens add to their scores of kept keys and each other, where they see them."""
    scores_hbcs = relative(offset_bcs)
    if joint:  # what is around stands before, and has no relative scores
        scores_hbcs = F.pad(scores_hbcs, (mask.shape[-1] - offset_bcs.shape[2], 0))
    return scored(scores_hbcs.transpose(0, 1), mask)


def next_crossed(
    attention: ContextAttention,
    x_bcd: Tensor,
    there: Tensor,
    other: KeyValue,
    *,
    of: ir.Attention,
) -> Tensor:
    """What the next tokens read of another stream; there: which of its tokens are."""
    q_bhcw = attention.query(x_bcd).unflatten(-1, (-1, of.head_width)).transpose(1, 2)
    if of.scores is not None and of.scores.norm is not None and of.scores.together:
        q_bhcw = normed_together(q_bhcw, attention.query_norm)
    elif of.scores is not None and of.scores.norm is not None:
        q_bhcw = attention.query_norm(q_bhcw)
    if of.scores is not None and of.scores.sink:
        sink_h = attention.sink.weight
        y_bhcw = sink_attention(q_bhcw, other.k_bhsw, other.v_bhsw, there, sink_h, scale=of.scale)
    else:
        y_bhcw = F.scaled_dot_product_attention(
            q_bhcw,
            other.k_bhsw,
            other.v_bhsw,
            attn_mask=there,
            scale=of.scale,
            enable_gqa=of.kv_heads != of.heads,
        )
    y_bcd: Tensor = attention.output(y_bhcw.transpose(1, 2).flatten(2))
    return y_bcd


def next_attended(
    attention: Attention,
    x_bcd: Tensor,
    mask: Tensor,
    turn: tuple[Tensor, Tensor],
    offset_bcs: Tensor,
    past: KeyValue,
    around: tuple[KeyValue, ...],
    *,
    of: ir.Attention,
    segment: ir.Segment,
    joint: bool,
    on_line: bool,
) -> tuple[Tensor, KeyValue]:
    """What the next tokens read from kept keys and each other's; all of these, with values."""
    qkv_bchw = attention.qkv(x_bcd).unflatten(-1, (-1, of.head_width))
    if of.kv_heads == of.heads:
        q_bhcw, k_bhcw, v_bhcw = qkv_bchw.transpose(1, 2).chunk(3, dim=1)
    else:
        q_bhcw, k_bhcw, v_bhcw = qkv_bchw.transpose(1, 2).split(
            (of.heads, of.kv_heads, of.kv_heads), dim=1
        )
    if of.scores is not None and of.scores.norm is not None and of.scores.together:
        q_bhcw = normed_together(q_bhcw, attention.query_norm)
        k_bhcw = normed_together(k_bhcw, attention.key_norm)
    elif of.scores is not None and of.scores.norm is not None:
        q_bhcw, k_bhcw = attention.query_norm(q_bhcw), attention.key_norm(k_bhcw)
    if segment.rotary and of.rotary is not None:
        q_bhcw, k_bhcw = (
            rotated(q_bhcw, turn, rotary=of.rotary, head_width=of.head_width),
            rotated(k_bhcw, turn, rotary=of.rotary, head_width=of.head_width),
        )
    k_bhsw = torch.cat((past.k_bhsw, k_bhcw), dim=2)
    v_bhsw = torch.cat((past.v_bhsw, v_bhcw), dim=2)
    kept = KeyValue(k_bhsw, v_bhsw)
    if joint:
        k_bhsw = torch.cat([*(known.k_bhsw for known in around), k_bhsw], dim=2)
        v_bhsw = torch.cat([*(known.v_bhsw for known in around), v_bhsw], dim=2)
    if on_line:
        mask = next_scored(attention.relative, offset_bcs, mask, joint=joint)
    if of.scores is not None and of.scores.sink:
        sink_h = attention.sink.weight
        y_bhcw = sink_attention(q_bhcw, k_bhsw, v_bhsw, mask, sink_h, scale=of.scale)
    else:
        y_bhcw = F.scaled_dot_product_attention(
            q_bhcw,
            k_bhsw,
            v_bhsw,
            attn_mask=mask,
            scale=of.scale,
            enable_gqa=of.kv_heads != of.heads,
        )
    y_bcd: Tensor = attention.output(y_bhcw.transpose(1, 2).flatten(2))
    return y_bcd, kept
