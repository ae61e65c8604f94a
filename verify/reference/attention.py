"""Attention: which pairs are visible, and what a token reads from those it sees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from mmspec.expressions.mask import FULL, NONE, Mask, Pattern
from mmspec.schema.attention import Attention
from mmspec.schema.rotary import Linear, Llama3, Rotary
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Segment, resolve
from mmspec.verify.reference.arithmetic import softmax
from mmspec.verify.reference.layers import attending, setting
from mmspec.verify.reference.masks import sight
from mmspec.verify.reference.modality import layout, segment_count
from mmspec.verify.reference.places import Layout, Side

CAUSAL = Pattern("causal")
Counts = tuple[tuple[str, int], ...]
"""Segments by name with their numbers of tokens, in the order of the sequence."""
Sides = tuple[Side, ...]
Documents = Mapping[str, Sequence[int]]
"""The document of each token in one sample, by modality; one where it is absent."""


def mask_of_pair(attention: Attention, queries: Sides, keys: Sides, pair: tuple[int, int]) -> Mask:
    """The mask between the query segment and the key segment at these places."""
    query, key = pair
    if attention.pairs is not None:
        found: Mask = attention.pairs.get((queries[query].name, keys[key].name), NONE)
        return found
    assert attention.mask is not None
    if attention.mask == CAUSAL and _names(queries) == _names(keys):
        return CAUSAL if key == query else FULL if key < query else NONE
    return attention.mask


def _names(sides: Sides) -> list[str]:
    return [side.name for side in sides]


def matrix(attention: Attention, queries: Sides, keys: Sides) -> Tensor:
    """Who sees whom in a head under one mask, or masks by pair: bool [n, m], rows are queries."""
    rows = []
    for i, query in enumerate(queries):
        row = [torch.zeros(query.count, 0, dtype=torch.bool)]
        for j, key in enumerate(keys):
            row.append(_piece(mask_of_pair(attention, queries, keys, (i, j)), query, key))
        rows.append(torch.cat(row, 1))
    return torch.cat(rows)


def matrices(attention: Attention, heads: int, queries: Sides, keys: Sides) -> Tensor:
    """Who sees whom in every head: bool [H, n, m]."""
    found = []
    for count, of_group in attention.by_heads(heads):
        found += [matrix(of_group, queries, keys)] * count
    return torch.stack(found)


def _piece(mask: Mask, query: Side, key: Side) -> Tensor:
    """Who sees whom between two segments: bool [n, m]. It does not change where either goes on."""
    if query.documents or key.documents:
        return _pairs(mask, query, key)
    longer = (Side("", _some(side), side.layout) for side in (query, key))
    return _pairs(mask, *longer)[: query.count, : key.count]


def _some(side: Side) -> int:
    """So many tokens, or a few more, up to the next sixteen: other lengths have the same pairs."""
    return max(side.count, min(-(-side.count // 16) * 16, side.layout.most))


@lru_cache(maxsize=512)
def _pairs(mask: Mask, query: Side, key: Side) -> Tensor:
    keys, sees = key.tokens, sight(mask)
    seen = [[sees(q, k) for k in keys] for q in query.tokens]
    return torch.tensor(seen, dtype=torch.bool).reshape(query.count, key.count)


def pairs(spec: Spec, stream: str, lengths: Mapping[str, int]) -> Tensor:
    """Who sees whom in any head of any layer of one sample: bool [n, n], valid tokens."""
    config = spec.streams[stream]
    every = [
        pairs_by_head(spec, stream, lengths, None, i, place).any(0)
        for i in range(config.depth)
        for place in range(len(attending(setting(config, i))))
    ]
    return torch.stack(every).any(0)


def pairs_by_head(
    spec: Spec,
    stream: str,
    lengths: Mapping[str, int],
    documents: Documents | None = None,
    layer: int = 0,
    place: int = 0,
) -> Tensor:
    """Who sees whom in each head of the self-attention of a layer in one sample: bool [H, n, n].

    place: which attention of the layer, from 0.
    """
    config = attending(setting(spec.streams[stream], layer))[place].of
    sides = _sides(spec, resolve(spec).segments[stream], lengths, documents or {})
    return matrices(config.attention, config.heads, sides, sides)


def context_pairs(spec: Spec, stream: str, lengths: Mapping[str, int]) -> Tensor:
    """Who sees whom in any head of the cross-attention fusion of a stream: bool [n, m]."""
    return context_pairs_by_head(spec, stream, lengths).any(0)


def context_pairs_by_head(
    spec: Spec, stream: str, lengths: Mapping[str, int], documents: Documents | None = None
) -> Tensor:
    """Who sees whom in each head of the cross-attention fusion of a stream: bool [H, n, m]."""
    config, wiring = spec.streams[stream], resolve(spec)
    fusion = config.source
    heads = fusion.attending(config.heads)
    assert fusion.context is not None and heads is not None
    first, *rest = (wiring.source_segments(source) for source in wiring.sources[stream])
    context = tuple(segment for segments in rest for segment in segments)
    queries, keys = (_sides(spec, side, lengths, documents or {}) for side in (first, context))
    return matrices(fusion.context, heads, queries, keys)


def _sides(
    spec: Spec, segments: Iterable[Segment], lengths: Mapping[str, int], documents: Documents
) -> Sides:
    found = []
    for segment in segments:
        count = segment_count(spec, segment, lengths)
        if segment.modality is None:
            found.append(Side(segment.name, count, Layout(segment.count or 0)))
        else:
            modality = spec.modalities[segment.modality]
            ids = tuple(documents.get(segment.modality, ()))[:count]
            found.append(Side(segment.name, count, layout(modality), ids))
    return tuple(found)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seen: Tensor,
    added: Tensor | None = None,
    scale: float | None = None,
    sink: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One head: q [n, w], k and v [m, w], seen bool [n, m] -> output [n, w], weights [n, m].

    A query that sees no key reads 0. added [n, m]: to the scores. scale: of products, instead of
    one over the root of the width. sink: a score that takes part, whose value is 0.
    """
    scores = q @ k.T * (1 / q.shape[1] ** 0.5 if scale is None else scale)
    if added is not None:
        scores = scores + added
    if not seen.any():
        weights = torch.zeros_like(scores)
        return weights @ v, weights
    blind = ~seen.any(1, keepdim=True)
    hidden = torch.where(seen | blind, scores, -torch.inf)
    if sink is not None:
        hidden = torch.cat((hidden, sink.expand(len(q), 1)), 1)
    weights = softmax(hidden)[:, : len(k)]
    weights = torch.where(seen, weights, 0.0)
    return weights @ v, weights


def rotate(x: Tensor, places: list[int], rotary: Rotary) -> Tensor:
    """Turn pairs of the first n features of x [m, w], each by its place times its angle."""
    width = int(rotary.turned(x.shape[1]))
    features = list(x.unbind(1))
    for i in range(width // 2):
        a, b = (2 * i, 2 * i + 1) if rotary.interleaved else (i, i + width // 2)
        angles = torch.tensor(
            [place * angle(i, width, rotary) for place in places], dtype=torch.float64
        )
        cosine, sine = torch.cos(angles), torch.sin(angles)
        first, second = features[a], features[b]
        features[a] = first * cosine - second * sine
        features[b] = second * cosine + first * sine
    return torch.stack(features, 1)


def angle(i: int, width: int, rotary: Rotary) -> float:
    """By how much pair i turns from one position to the next."""
    plain = float(1.0 / rotary.base ** (2 * i / width))
    match rotary.scaling:
        case Linear(factor=factor):
            return plain / factor
        case Llama3(factor=factor, length=length, low=low, high=high):
            turns = length * plain / (2 * math.pi)
            if turns < low:
                return plain / factor
            if turns > high:
                return plain
            share = (turns - low) / (high - low)
            return (1 - share) * plain / factor + share * plain
        case _:
            return plain
