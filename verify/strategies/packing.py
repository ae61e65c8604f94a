"""Packed documents: which modalities a spec asks them of, and documents to give."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mmspec.expressions.mask import And, Mask, Not, Or
from mmspec.schema import modality as modalities
from mmspec.schema.attention import Attention
from mmspec.schema.fusion import CrossAttention
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.verify.reference.modality import token_count

Masks = Iterator[tuple[str, str, Mask]]


def packed(spec: Spec) -> list[str]:
    """Modalities whose documents masks ask for, in the spec's order."""
    found = {
        name
        for query, key, mask in spec_masks(spec)
        if "document" in asked(mask)
        for name in (query, key)
    }
    return [name for name in spec.modalities if name in found]


def spec_masks(spec: Spec) -> Masks:
    """Every mask of a spec with the segments that it stands between."""
    wiring = resolve(spec)
    for name, stream in spec.streams.items():
        own = [segment.name for segment in wiring.segments[name]]
        yield from _masks(stream.attention, own, own)
        if isinstance(stream.source, CrossAttention):
            of = [wiring.source_segments(source) for source in wiring.sources[name]]
            sides = [[segment.name for segment in segments] for segments in of]
            keys = [name for side in sides[1:] for name in side]
            yield from _masks(stream.source.attention, sides[0], keys)


def _masks(attention: Attention, queries: list[str], keys: list[str]) -> Masks:
    for group in attention.groups or ():
        yield from _masks(group.mask, queries, keys)
    for (query, key), mask in (attention.pairs or {}).items():
        yield query, key, mask
    if attention.mask is not None:
        yield from ((query, key, attention.mask) for query in queries for key in keys)


def asked(mask: Mask) -> frozenset[str]:
    """Names of the patterns that decide what a mask shows."""
    found = _left(mask)
    return frozenset() if isinstance(found, bool) else found


def _left(mask: Mask) -> bool | frozenset[str]:
    """The patterns that are left when `full` and `none` are; or what they make of the mask."""
    if isinstance(mask, Not):
        operand = _left(mask.operand)
        return not operand if isinstance(operand, bool) else operand
    if isinstance(mask, And | Or):
        sides = _left(mask.left), _left(mask.right)
        decisive = isinstance(mask, Or)
        if any(side is decisive for side in sides):
            return decisive
        names = [side for side in sides if not isinstance(side, bool)]
        return frozenset[str]().union(*names) if names else not decisive
    if mask.name in ("full", "none"):
        return mask.name == "full"
    return frozenset({mask.name})


def documents(modality: modalities.Modality, values: Tensor, generator: torch.Generator) -> Tensor:
    """Up to four documents in each sample, one after another: int64 [B, tokens]."""
    count, places = values.shape[:2]
    shape = count, token_count(modality, places)
    return torch.randint(4, shape, generator=generator).sort(dim=1).values
