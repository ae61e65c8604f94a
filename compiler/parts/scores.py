"""Scores of attention: what q times k becomes before the softmax.

A relative score is a module that says by how far a query is behind a key what is added: offsets
[...] -> [H, ...]. Lines are the segments whose tokens have relative scores to one another.
"""

from __future__ import annotations

from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.compiler import ir
from mmspec.compiler.parts.derived import Derived


def alibi_slopes(heads: int) -> Tensor:
    """The slopes of so many heads, of which n are the most that are a power of two.

    The first n fall from 2^(-8/n) by that factor; the others are every second one of 2n heads.
    """
    whole = 1 << heads.bit_length() - 1
    first_h = torch.arange(1, whole + 1, dtype=torch.float64) * (-8 / whole)
    others_h = (torch.arange(heads - whole, dtype=torch.float64) * 2 + 1) * (-4 / whole)
    return torch.cat((first_h, others_h)).exp2()


class Alibi(Derived):
    """Less the distance of two tokens, times a slope of the head (Press et al. 2022)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.slopes_h: Tensor
        self.register_buffer("slopes_h", torch.empty(heads), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.slopes_h.copy_(alibi_slopes(self.heads))

    def forward(self, offset: Tensor) -> Tensor:
        slopes_h = self.slopes_h.view(-1, *[1] * offset.dim())
        return -slopes_h * offset.abs()


class Buckets(nn.Module):
    """A number of each head for {relative.count} ranges of distances (Raffel et al. 2020)."""

    def __init__(self, heads: int, relative: ir.Buckets) -> None:
        super().__init__()
        self.starts = relative.starts
        self.sides = relative.sides
        self.weight = nn.Parameter(torch.zeros(relative.count, heads))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, offset: Tensor) -> Tensor:
        starts = torch.tensor(self.starts, device=offset.device)
        if self.sides == 1:
            bucket = torch.bucketize(offset.clamp(min=0), starts, right=True)
        else:
            bucket = torch.bucketize(offset.abs(), starts, right=True)
            bucket = bucket + (offset < 0) * (len(self.starts) + 1)
        return self.weight[bucket].movedim(-1, 0)


class Offsets(nn.Module):
    """A number of each head for each distance up to {relative.reach} (Shaw et al. 2018)."""

    def __init__(self, heads: int, relative: ir.Offsets) -> None:
        super().__init__()
        self.reach = relative.reach
        self.weight = nn.Parameter(torch.zeros(2 * relative.reach + 1, heads))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, offset: Tensor) -> Tensor:
        return self.weight[offset.clamp(-self.reach, self.reach) + self.reach].movedim(-1, 0)


class Sink(nn.Module):
    """A number of each head that joins the softmax over its keys, with the value 0."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


def relative_layer(heads: int, relative: ir.Relative) -> nn.Module:
    """A relative score (inlined by the emitter: one return is left)."""
    if isinstance(relative, ir.Alibi):
        return Alibi(heads)
    if isinstance(relative, ir.Buckets):
        return Buckets(heads, relative)
    if isinstance(relative, ir.Offsets):
        return Offsets(heads, relative)
    raise ValueError(relative)


def offsets(tokens: int, device: torch.device) -> Tensor:
    """How far each of so many queries is behind each of as many keys: int64 [q, k]."""
    place_t = torch.arange(tokens, device=device)
    return place_t[:, None] - place_t


def scored(scores_hqk: Tensor, mask: Tensor | None) -> Tensor:
    """What attention adds to its scores, -inf where a query does not see a key: [B or 1, H, q, k].

    mask: bool, broadcasts to that; None: every query sees every key.
    """
    if mask is None:
        return scores_hqk[None]
    return torch.where(mask, scores_hqk, -torch.inf)


def scored_lines(
    relative: nn.Module, counts: tuple[int, ...], lines: tuple[bool, ...], device: torch.device
) -> Tensor:
    """Relative scores of segments of so many tokens, 0 between two of them: [H, q, k]."""
    places = zip(counts, accumulate(counts), lines, strict=True)
    tokens = sum(counts)
    scores = [
        F.pad(relative(offsets(count, device)), (stop - count, tokens - stop) * 2)
        for count, stop, has_scores in places
        if has_scores
    ]
    return torch.stack(scores).sum(dim=0)


def scored_masks(
    scores_hqk: Tensor, masks: tuple[Tensor | None, ...], places: tuple[int, ...]
) -> tuple[Tensor | None, ...]:
    """Masks, of which those at some places become what attention adds to its scores."""
    return tuple(
        scored(scores_hqk, mask) if place in places else mask for place, mask in enumerate(masks)
    )


def relative_table(relative: nn.Module, most: int, device: torch.device) -> Tensor:
    """Relative scores of queries from -`most` to `most` tokens behind a key: [H, 2 most + 1]."""
    scores_ho: Tensor = relative(torch.arange(2 * most + 1, device=device) - most)
    return scores_ho.to(torch.promote_types(scores_ho.dtype, torch.float32))


def line_places(counts: tuple[int, ...], lines: tuple[bool, ...], device: torch.device) -> Tensor:
    """Where tokens of segments stand, those of two too far apart for a score: int32 [T]; -1: none.

    The scores are those of `relative_table` of as many tokens as the longest segment has.
    """
    apart = 2 * max(counts) + 2
    places = [
        torch.arange(count, dtype=torch.int32, device=device) + line * apart
        if has_scores
        else torch.full((count,), -1, dtype=torch.int32, device=device)
        for line, (count, has_scores) in enumerate(zip(counts, lines, strict=True))
    ]
    return torch.cat(places)


def relative_scores(
    relative: nn.Module, counts: tuple[int, ...], lines: tuple[bool, ...], device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """What attention by tiles is told: the table, and where tokens of several segments stand."""
    table_ho = relative_table(relative, max(counts), device)
    return table_ho, line_places(counts, lines, device) if len(lines) > 1 else None
