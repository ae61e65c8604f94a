"""Decoding: the next tokens of a sequence, from kept keys and values of those before them.

Parameters after `*` are constants of the spec; the emitter folds them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.cross import CrossAttention
from mmspec.compiler.parts.drawn import mixed
from mmspec.compiler.parts.inputs import INTEGERS, expect, expect_device, expect_range
from mmspec.compiler.parts.modality import TokenEmbedding, by_code, by_numbers
from mmspec.compiler.parts.rotary import (
    llama3_rates,
    rotary_rates,
    rotate,
    rotate_neighbours,
    rotate_some,
    rotate_some_neighbours,
    rotation,
    rotation_by,
)


class KeyValue(NamedTuple):
    """Keys and values of one layer."""

    k_bhsw: Tensor
    v_bhsw: Tensor


class KeySlots(NamedTuple):
    """Which tokens of a sequence are kept, a slot for each; samples may fill them in part."""

    index_bs: Tensor
    """Where each stands in the sequence: int64 [B, S]."""
    place_bs: Tensor
    """Which token of its modality it is: int64 [B, S]; -1: the slot is empty."""


class CachedKeys(NamedTuple):
    """Kept keys and values of some layers that see alike, and the tokens they are of."""

    place_bs: Tensor
    """Which token of its modality is in each slot: int64 [B, S]; -1: none."""
    layers: tuple[KeyValue, ...]

    def select(self, index_b: Tensor) -> CachedKeys:
        """Those of some samples, in that order."""
        layers = tuple(KeyValue(k[index_b], v[index_b]) for k, v in self.layers)
        return CachedKeys(self.place_bs[index_b], layers)


class KeyCache(NamedTuple):
    """What the next tokens need of those before them."""

    length_b: Tensor
    """Tokens of each sample so far: int64 [B]."""
    longest: int
    """The most of them."""
    kept: Mapping[str, CachedKeys]
    """Keys by who sees whom: `stream.segment`."""

    def select(self, index_b: Tensor) -> KeyCache:
        """The cache of some samples, in that order; one may be there more than once."""
        length_b = self.length_b[index_b]
        kept = {name: cached.select(index_b) for name, cached in self.kept.items()}
        return KeyCache(length_b, most_tokens(length_b), kept)


@dataclass(eq=False)
class KeyRecorder:
    """Takes keys and values from what some layers return while the model runs."""

    layers: Sequence[nn.Module]
    take: Callable[[Tensor, KeySlots], KeyValue]
    slots: KeySlots
    taken: list[KeyValue] = field(default_factory=list)

    def __call__(self, layer: nn.Module, given: object, output: Tensor) -> None:
        self.taken.append(self.take(output, self.slots))

    def cached(self) -> CachedKeys:
        """What was taken. Raises RuntimeError where a layer did not run, as a module."""
        if len(self.taken) != len(self.layers):
            raise RuntimeError("some layers did not run as modules: their keys are not known")
        return CachedKeys(self.slots.place_bs, tuple(self.taken))


@dataclass(eq=False)
class NormedKeyRecorder(KeyRecorder):
    """The same of layers that norm their keys after that."""

    norms: Sequence[nn.Module] = field(kw_only=True)
    norm: Callable[[Tensor, nn.Module], Tensor] = field(kw_only=True)

    def __call__(self, layer: nn.Module, given: object, output: Tensor) -> None:
        super().__call__(layer, given, self.norm(output, self.norms[len(self.taken)]))


def watched_layers(recorders: Iterable[KeyRecorder]) -> contextlib.ExitStack:
    """A context in which recorders see what their layers return."""
    handles = contextlib.ExitStack()
    for recorder in recorders:
        for layer in dict.fromkeys(recorder.layers):
            handles.enter_context(layer.register_forward_hook(recorder))
    return handles


def whole_tokens(present_b: Tensor | None, tokens: int) -> Tensor | None:
    """Tokens of a sample whose input is there or not."""
    return None if present_b is None else (present_b > 0) * tokens


def placed_tokens(length_b: Tensor | None, batch: int, tokens: int, device: torch.device) -> Tensor:
    """Which token of its modality each is, -1 past the sample's length: int64 [B, T]."""
    place_t = torch.arange(tokens, device=device)
    if length_b is None:
        return place_t.expand(batch, -1)
    return torch.where(place_t < length_b[:, None], place_t, -1)


def kept_tokens(
    place_bt: Tensor, alive_bt: Tensor, start: int = 0, most: int | None = None
) -> KeySlots:
    """Slots for what is alive, in order, of tokens that stand from `start` on in the sequence.

    most: as many as are ever alive in a sample; None where that grows.
    """
    order_bs = alive_bt.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    place_bs = torch.where(alive_bt, place_bt, -1).gather(1, order_bs)
    return KeySlots(start + order_bs, place_bs)


def every_token(place_bt: Tensor) -> KeySlots:
    """Slots for all tokens of a sequence, in order."""
    return kept_tokens(place_bt, place_bt >= 0)


def at_slots(x_bhtw: Tensor, slots: KeySlots) -> Tensor:
    """Keys or values of the tokens in the slots: [B, H, S, w]."""
    index_bhsw = slots.index_bs[:, None, :, None].expand(-1, x_bhtw.shape[1], -1, x_bhtw.shape[3])
    return x_bhtw.gather(2, index_bhsw)


def one_slot(places: tuple[Tensor, ...]) -> KeySlots:
    """A slot for what is made of all these tokens at once; a sample without any leaves it empty."""
    there_b1 = (torch.cat(places, dim=1) >= 0).any(dim=1, keepdim=True)
    return KeySlots(torch.zeros_like(there_b1, dtype=torch.int64), there_b1.long() - 1)


def take_row(made_bf: Tensor, slots: KeySlots) -> KeyValue:
    """What a layer made of all tokens at once: a value that is read without a key."""
    made_b11f = made_bf[:, None, None]
    return KeyValue(made_b11f[..., :0], made_b11f)


def forget(cached: CachedKeys, alive_bs: Tensor, most: int | None) -> CachedKeys:
    """The keys that are alive."""
    left = kept_tokens(cached.place_bs, alive_bs, most=most)
    layers = tuple(KeyValue(at_slots(k, left), at_slots(v, left)) for k, v in cached.layers)
    return CachedKeys(left.place_bs, layers)


def most_tokens(length_b: Tensor) -> int:
    """The most tokens of a sample, 0 where there is none."""
    return int(length_b.max()) if length_b.shape[0] > 0 else 0


def following(ids_bc: Tensor, cache: KeyCache, vocab: int, longest: int) -> Tensor:
    """Where the next tokens of each sample stand: int64 [B, C].

    Raises ValueError where there are none, or more than fit.
    """
    expect("next tokens", ids_bc, INTEGERS, (cache.length_b.shape[0], None))
    expect_device("next tokens", ids_bc, cache.length_b.device)
    expect_range("next tokens", ids_bc, vocab - 1)
    if ids_bc.shape[1] == 0:
        raise ValueError("there are no next tokens: give at least one of each sample")
    if cache.longest + ids_bc.shape[1] > longest:
        after = f"{cache.longest} + {ids_bc.shape[1]}"
        raise ValueError(f"{after} positions are too many, at most {longest} are allowed")
    return cache.length_b[:, None] + torch.arange(ids_bc.shape[1], device=ids_bc.device)


def drawn_blocks(q: Tensor, k: Tensor, draws: tuple[int, int], seed: int) -> Tensor:
    """Whether queries q [B, C, 1] drew the blocks of keys k [B, 1, S]: see `random_blocks`."""
    blocks, there = draws
    if blocks >= there:
        return (q >= 0) & (k >= 0)
    row_bc1 = q // 64
    column_j = torch.arange(there, device=q.device)
    shown_bcj = row_bc1 + column_j < 0
    for draw in range(blocks):
        number = mixed(mixed(mixed(torch.full_like(row_bc1, seed)) ^ row_bc1) ^ draw)
        top = there - blocks + draw
        half, last = number >> 1 & 0x7FFFFFFFFFFFFFFF, number & 1
        pick_bc1 = (half % (top + 1) * 2 + last) % (top + 1)
        taken_bc1 = shown_bcj.gather(2, pick_bc1)
        shown_bcj = shown_bcj | (column_j == torch.where(taken_bc1, top, pick_bc1))
    block_bcs = (k.clamp(min=0) // 64).expand(-1, q.shape[1], -1)
    return shown_bcj.gather(2, block_bcs)


def turned(place_bs: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles of each sample's tokens: two [B, 1, S, w / 2]."""
    cos_ni, sin_ni = rotation(place_bs.flatten(), head_width)
    shape = (place_bs.shape[0], 1, place_bs.shape[1], head_width // 2)
    return cos_ni.view(shape), sin_ni.view(shape)


def turned_by(place_bs: Tensor, *, rotary: ir.Rotary) -> tuple[Tensor, Tensor]:
    """The same of other angles."""
    rates_i = rotary_rates(rotary.width, rotary.base, place_bs.device)
    if isinstance(rotary.scaling, ir.Linear):
        rates_i = rates_i / rotary.scaling.factor
    elif isinstance(rotary.scaling, ir.Llama3):
        turns = (rotary.scaling.low, rotary.scaling.high)
        rates_i = llama3_rates(rates_i, rotary.scaling.factor, rotary.scaling.length, turns)
    return rotation_by(place_bs[:, None], rates_i)


def turn_of(place_bs: Tensor, *, rotary: ir.Rotary) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles of each sample's tokens."""
    if rotary.usual:
        return turned(place_bs, rotary.width)
    return turned_by(place_bs, rotary=rotary)


def rotated(
    x_bhsw: Tensor, turn: tuple[Tensor, Tensor], *, rotary: ir.Rotary, head_width: int
) -> Tensor:
    """Queries or keys, turned by their angles."""
    if rotary.width < head_width and rotary.interleaved:
        return rotate_some_neighbours(x_bhsw, turn)
    if rotary.width < head_width:
        return rotate_some(x_bhsw, turn)
    if rotary.interleaved:
        return rotate_neighbours(x_bhsw, turn)
    return rotate(x_bhsw, turn)


def take_keys(qkv_btf: Tensor, slots: KeySlots, *, of: ir.Attention, rotary: bool) -> KeyValue:
    """Keys and values in the slots, from what `qkv` of an attention returned."""
    kv_bthw = torch.unflatten(qkv_btf, -1, (-1, of.head_width))[:, :, of.heads :]
    k_bhtw, v_bhtw = kv_bthw.transpose(1, 2).chunk(2, dim=1)
    k_bhsw, v_bhsw = at_slots(k_bhtw, slots), at_slots(v_bhtw, slots)
    if rotary and of.rotary is not None:
        k_bhsw = rotated(
            k_bhsw,
            turn_of(slots.place_bs, rotary=of.rotary),
            rotary=of.rotary,
            head_width=of.head_width,
        )
    return KeyValue(k_bhsw, v_bhsw)


def norm_keys(qkv_btf: Tensor, norm: nn.Module, *, of: ir.Attention) -> Tensor:
    """What `qkv` of an attention returned, with its keys normed."""
    ends = of.heads * of.head_width, (of.heads + of.kv_heads) * of.head_width
    q_btf, k_btf, v_btf = torch.tensor_split(qkv_btf, ends, dim=-1)
    if of.scores is not None and of.scores.together:
        k_btf = norm(k_btf)
    else:
        k_btf = norm(torch.unflatten(k_btf, -1, (-1, of.head_width))).flatten(2)
    return torch.cat((q_btf, k_btf, v_btf), dim=-1)


def norm_context_keys(kv_btf: Tensor, norm: nn.Module, *, of: ir.Attention) -> Tensor:
    """What `key_value` of a cross returned, with its keys normed."""
    k_btf, v_btf = kv_btf.chunk(2, dim=-1)
    if of.scores is not None and of.scores.together:
        k_btf = norm(k_btf)
    else:
        k_btf = norm(torch.unflatten(k_btf, -1, (-1, of.head_width))).flatten(2)
    return torch.cat((k_btf, v_btf), dim=-1)


def take_context(kv_btf: Tensor, slots: KeySlots, *, heads: int) -> KeyValue:
    """Keys and values in the slots, from what `key_value` of a cross-attention returned."""
    kv_bhtw = torch.unflatten(kv_btf, -1, (2 * heads, -1)).transpose(1, 2)
    k_bhtw, v_bhtw = kv_bhtw.chunk(2, dim=1)
    return KeyValue(at_slots(k_bhtw, slots), at_slots(v_bhtw, slots))


def next_embedded(
    embedding: TokenEmbedding,
    x_bcd: Tensor,
    at_bc: Tensor,
    added: Mapping[str, Tensor],
    *,
    rows: ir.Sum,
    width: int,
) -> Tensor:
    """The embeddings of the next tokens, whose rows are given, at their places: [B, C, D]."""
    if rows.scale == math.sqrt(width) and width > 1:
        x_bcd = math.sqrt(width) * x_bcd
    elif rows.scale != 1:
        x_bcd = rows.scale * x_bcd
    for one in rows.added:
        if one.codes:
            x_bcd = x_bcd + by_code(getattr(embedding, one.module), added.get(one.key))
        else:
            x_bcd = x_bcd + by_numbers(getattr(embedding, one.module), added.get(one.key))
    if rows.position.kind == "learned" and rows.position.offset > 0:
        x_bcd = x_bcd + embedding.position[at_bc + rows.position.offset]
    elif rows.position.kind == "learned":
        x_bcd = x_bcd + embedding.position[at_bc]
    elif rows.position.kind == "sincos":
        x_bcd = x_bcd + embedding.places(at_bc).to(x_bcd.dtype)
    if rows.norm is not None:
        x_bcd = embedding.norm(x_bcd)
    return x_bcd


def next_read(
    attention: CrossAttention,
    x_bcd: Tensor,
    mask: Tensor,
    context: tuple[CachedKeys, ...],
    *,
    heads: int,
) -> Tensor:
    """The next tokens with what they read from a context that was there before them."""
    q_bcd = attention.query(attention.norm_query(x_bcd))
    q_bhcw = q_bcd.unflatten(-1, (heads, -1)).transpose(1, 2)
    k_bhsw = torch.cat([known.layers[0].k_bhsw for known in context], dim=2)
    v_bhsw = torch.cat([known.layers[0].v_bhsw for known in context], dim=2)
    y_bhcw = F.scaled_dot_product_attention(q_bhcw, k_bhsw, v_bhsw, attn_mask=mask)
    read_bcd: Tensor = attention.output(y_bhcw.transpose(1, 2).flatten(2))
    return x_bcd + read_bcd


def next_modulated(x_bcd: Tensor, change: CachedKeys) -> Tensor:
    """The next tokens, scaled and shifted as those before them; as they are where nothing does."""
    change_b1f = change.layers[0].v_bhsw[:, 0]
    change_b1f = change_b1f.masked_fill(change.place_bs[..., None] < 0, 0.0)
    scale_b1d, shift_b1d = change_b1f.chunk(2, dim=-1)
    return x_bcd * (1 + scale_b1d) + shift_b1d
