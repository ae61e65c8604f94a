"""Attention -> a mask for each ordered pair of segments, by groups of heads."""

from __future__ import annotations

from functools import lru_cache

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.terms import settled
from mmspec.expressions import mask as masks
from mmspec.schema.attention import Attention


def lower(
    attention: Attention,
    heads: int,
    queries: tuple[ir.Segment, ...],
    keys: tuple[ir.Segment, ...],
) -> tuple[ir.Group, ...]:
    """Heads and their masks; neighbours whose masks are the same are one group."""
    groups: list[ir.Group] = []
    for count, one in attention.by_heads(heads):
        pairs = lower_masks(one, queries, keys)
        if groups and groups[-1].masks == pairs:
            count += groups.pop().heads
        groups.append(ir.Group(count, pairs))
    return tuple(groups)


def lower_masks(
    attention: Attention, queries: tuple[ir.Segment, ...], keys: tuple[ir.Segment, ...]
) -> ir.Pairs:
    """Simplified masks by pair of segment names, in sequence order, of pairs that see something.

    `random` is left out where fewer blocks can be there than it asks for: all are seen.
    """
    pairs: list[tuple[str, str, masks.Mask]] = []
    known, own = lru_cache(settled), queries == keys
    for row, query in enumerate(queries):
        for column, key in enumerate(keys):
            found = _mask(attention, query.said, key.said, row - column if own else 0)
            mask = known(found, key.tokens.max)
            if mask is not masks.NONE and mask != masks.NONE:
                pairs.append((query.name, key.name, mask))
    return tuple(pairs)


def _mask(attention: Attention, query: str, key: str, order: int) -> masks.Mask:
    """The mask of one pair; `order` > 0: the key's segment comes before the query's in a stream."""
    if attention.pairs is not None:
        found: masks.Mask = attention.pairs.get((query, key), masks.NONE)
        return found
    assert attention.mask is not None, attention
    if attention.mask == masks.Pattern("causal") and order != 0:
        return masks.FULL if order > 0 else masks.NONE
    return attention.mask
