"""Attention: which pairs are visible, and what a token reads from those it sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from mmspec.expressions.mask import And, Mask, Not, Or, Pattern
from mmspec.schema.attention import Attention
from mmspec.schema.fusion import CrossAttention
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Segment, resolve
from mmspec.verify.reference.arithmetic import softmax
from mmspec.verify.reference.modality import longest, token_count

NONE = Pattern("none")
FULL = Pattern("full")
CAUSAL = Pattern("causal")
Counts = tuple[tuple[str, int], ...]
"""Segments by name with their numbers of tokens, in the order of the sequence."""


def visible(mask: Mask, q: int, k: int) -> bool:
    """Whether the query of index q sees the key of index k, each counted in its own segment."""
    if isinstance(mask, And):
        return visible(mask.left, q, k) and visible(mask.right, q, k)
    if isinstance(mask, Or):
        return visible(mask.left, q, k) or visible(mask.right, q, k)
    if isinstance(mask, Not):
        return not visible(mask.operand, q, k)
    return _matches(mask, q, k)


def _matches(pattern: Pattern, q: int, k: int) -> bool:
    if pattern.name in ("full", "none"):
        return pattern.name == "full"
    if pattern.name == "causal":
        return k <= q
    if pattern.name == "window":
        return -pattern.size("after") <= q - k <= pattern.size("before")
    if pattern.name == "dilated":
        near = abs(q - k) <= pattern.size("reach")
        return near and (q - k) % pattern.size("step") == 0
    if pattern.name == "block":
        return q // pattern.size("size") == k // pattern.size("size")
    assert pattern.name == "global", pattern.name
    return q < pattern.size("count") or k < pattern.size("count")


def mask_of_pair(
    attention: Attention, queries: Counts, keys: Counts, pair: tuple[int, int]
) -> Mask:
    """The mask between the query segment and the key segment at these places."""
    query, key = pair
    if attention.pairs is not None:
        found: Mask = attention.pairs.get((queries[query][0], keys[key][0]), NONE)
        return found
    assert attention.mask is not None
    several = len(queries) > 1 or len(keys) > 1
    if several and attention.mask == CAUSAL:
        return CAUSAL if key == query else FULL if key < query else NONE
    return attention.mask


def matrix(attention: Attention, queries: Counts, keys: Counts) -> Tensor:
    """Who sees whom: bool [n, m], rows are queries."""
    rows = []
    for i, (_, height) in enumerate(queries):
        row = [torch.zeros(height, 0, dtype=torch.bool)]
        for j, (_, width) in enumerate(keys):
            row.append(_piece(mask_of_pair(attention, queries, keys, (i, j)), height, width))
        rows.append(torch.cat(row, 1))
    return torch.cat(rows)


@lru_cache(maxsize=512)
def _piece(mask: Mask, height: int, width: int) -> Tensor:
    seen = [[visible(mask, q, k) for k in range(width)] for q in range(height)]
    return torch.tensor(seen, dtype=torch.bool).reshape(height, width)


def pairs(spec: Spec, stream: str, lengths: Mapping[str, int]) -> Tensor:
    """Who sees whom in the self-attention of one sample: bool [n, n] over its valid tokens."""
    counts = _counts(spec, resolve(spec).segments[stream], lengths)
    return matrix(spec.streams[stream].attention, counts, counts)


def context_pairs(spec: Spec, stream: str, lengths: Mapping[str, int]) -> Tensor:
    """Who sees whom in the cross-attention fusion of a stream: bool [n, m]."""
    fusion, wiring = spec.streams[stream].source, resolve(spec)
    assert isinstance(fusion, CrossAttention)
    first, *rest = (wiring.source_segments(source) for source in wiring.sources[stream])
    context = [segment for segments in rest for segment in segments]
    queries, keys = _counts(spec, first, lengths), _counts(spec, context, lengths)
    return matrix(fusion.attention, queries, keys)


def _counts(spec: Spec, segments: Iterable[Segment], lengths: Mapping[str, int]) -> Counts:
    found = []
    for segment in segments:
        if segment.modality is None:
            assert segment.count is not None
            found.append((segment.name, segment.count))
        else:
            modality = spec.modalities[segment.modality]
            length = lengths.get(segment.modality, longest(modality))
            found.append((segment.name, token_count(modality, length)))
    return tuple(found)


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """One head: q [n, w], k and v [m, w], seen bool [n, m] -> output [n, w], weights [n, m].

    A query that sees no key reads 0.
    """
    scores = q @ k.T / q.shape[1] ** 0.5
    if not seen.any():
        weights = torch.zeros_like(scores)
        return weights @ v, weights
    blind = ~seen.any(1, keepdim=True)
    weights = softmax(torch.where(seen | blind, scores, -torch.inf))
    weights = torch.where(seen, weights, 0.0)
    return weights @ v, weights


def rotate(x: Tensor, places: list[int]) -> Tensor:
    """Turn the pairs (i, i + w/2) of x [n, w] by place / 10000^(2i/w)."""
    half = x.shape[1] // 2
    i = torch.arange(half, dtype=torch.float64)
    angles = torch.tensor(places, dtype=torch.float64)[:, None] / 10000 ** (2 * i / x.shape[1])
    first, second = x[:, :half], x[:, half:]
    cosine, sine = torch.cos(angles), torch.sin(angles)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], 1)
