"""Attention: masks mean something between their segments, and groups hold all heads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from mmspec.diagnostics import MmspecError, listed, suggest
from mmspec.expressions import mask as masks
from mmspec.schema.attention import FULL, Attention
from mmspec.schema.coordinates import Coordinates, coordinates, fits_anywhere, misfit
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Segment, Wiring, problem

Named = tuple[tuple[str, Coordinates], ...]
"""Segments by name, and what their tokens have."""


def of_streams(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with the attention of streams."""
    for name, stream in spec.streams.items():
        segments = _named(spec, wiring.segments[name])
        told = set[tuple[Any, ...]]()
        for one in stream.every:
            kind, at = one.of, spec.written("streams", name, *one.at, "attention")
            if one.word != "attention" or kind.attention is FULL or at in told:
                continue
            told.add(at)
            yield from _heads_of(spec, kind.attention, (kind.heads, kind.kv_heads), at)
            for place, attention in _groups(kind.attention, kind.heads):
                yield from _mask(spec, attention, segments, segments, (*at, *place))


def of_fusions(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with what fusions see of their context."""
    for name, stream in spec.streams.items():
        attended, count = stream.source.context, stream.source.attending(stream.heads)
        if attended is None or count is None:
            continue
        first, *rest = (wiring.source_segments(x) for x in wiring.sources[name])
        queries = _named(spec, first)
        keys = _named(spec, tuple(s for group in rest for s in group))
        if len(dict(keys)) < len(keys):
            yield problem(
                spec,
                "MM303",
                "two context sources bring the same tokens",
                "streams",
                name,
                "from",
                help="name each modality once among the context",
            )
        at = ("streams", name, "from", "attention")
        yield from _heads_of(spec, attended, (count, count), at)
        for place, attention in _groups(attended, count):
            yield from _mask(spec, attention, queries, keys, (*at, *place))


def _named(spec: Spec, segments: tuple[Segment, ...]) -> Named:
    found = ((s.name, spec.modalities[s.modality] if s.modality else None) for s in segments)
    return tuple((name, coordinates(name, modality)) for name, modality in found)


def _groups(attention: Attention, heads: int) -> Iterator[tuple[tuple[Any, ...], Attention]]:
    """What each group of heads sees, and where that is said."""
    for place, (_, one) in enumerate(attention.by_heads(heads)):
        yield () if attention.groups is None else (place, "mask"), one


def _heads_of(
    spec: Spec, attention: Attention, heads: tuple[int, int], at: tuple[Any, ...]
) -> Iterator[MmspecError]:
    """Groups hold all heads, and no two of them share a head of keys."""
    counts = [count for count, _ in attention.by_heads(heads[0])]
    shared = heads[0] // heads[1]
    if sum(counts) != heads[0]:
        message = f"masks of {sum(counts)} heads for {heads[0]} heads"
        advice = f"let `heads` of the groups add up to {heads[0]}"
        yield problem(spec, "MM322", message, *at, help=advice)
    elif any(count % shared for count in counts):
        message = f"{shared} heads share keys, so they share a mask"
        advice = f"let `heads` of each group be a multiple of {shared}"
        yield problem(spec, "MM322", message, *at, help=advice)


def _mask(
    spec: Spec, attention: Attention, queries: Named, keys: Named, at: tuple[Any, ...]
) -> Iterator[MmspecError]:
    if attention.pairs is None:
        assert attention.mask is not None
        yield from _flat(spec, attention.mask, queries, keys, at)
        return
    sides = dict(queries), dict(keys)
    for (query, key), mask in attention.pairs.items():
        here = (*at, f"{query} -> {key}")
        for name, among in zip((query, key), sides, strict=True):
            if name not in among:
                close = suggest(name, list(among))
                yield problem(
                    spec,
                    "MM310",
                    f"no segment `{name}` here",
                    *here,
                    help=f"did you mean `{close}`?" if close else f"segments: {listed(among)}",
                    word=name,
                )
        if query in sides[0] and key in sides[1]:
            yield from _pair(spec, mask, (sides[0][query], sides[1][key]), here)


def _flat(
    spec: Spec, mask: masks.Mask, queries: Named, keys: Named, at: tuple[Any, ...]
) -> Iterator[MmspecError]:
    """One mask for every pair of segments; `causal` alone is the order of a whole sequence."""
    if mask == masks.Pattern("causal") and queries == keys:
        return
    if all(map(fits_anywhere, masks.patterns(mask))):
        return
    kinds = [dict.fromkeys(coordinates for _, coordinates in side) for side in (queries, keys)]
    for pair in product(kinds[0], kinds[1]):
        found = list(_pair(spec, mask, pair, at))
        yield from found
        if found:
            return


def _pair(
    spec: Spec, mask: masks.Mask, pair: tuple[Coordinates, Coordinates], at: tuple[Any, ...]
) -> Iterator[MmspecError]:
    """Patterns that mean nothing between two segments."""
    for pattern in masks.patterns(mask):
        problems = misfit(pattern, *pair)
        if problems is not None:
            message = f"`{pattern.name}` {problems[0]}"
            yield problem(spec, "MM311", message, *at, help=problems[1], word=pattern.name)
