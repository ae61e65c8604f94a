"""Scores -> what a site does to its scores, and the segments that have relative ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mmspec.compiler import ir
from mmspec.compiler.lower import norm
from mmspec.schema.stream import Stream

_RECORDS: dict[str, type[ir.Relative]] = {
    record.name: record for record in (ir.Alibi, ir.Buckets, ir.Offsets)
}


def lower(stream: Stream, segments: tuple[ir.Segment, ...]) -> ir.Scores | None:
    """None: scores are q · k, scaled, and no more."""
    scores = stream.scores
    if scores is None:
        return None
    found = [scores.between(segment.name, segment.name) for segment in segments]
    kind = next((each for each in found if each is not None), None)
    made = ir.Scores(scale=scores.scale, sink=scores.sink)
    if kind is not None:
        numbers = kind.model_dump(exclude={"kind"})
        lines = tuple(each is not None for each in found)
        relative = _RECORDS[kind.name()](**numbers)
        made = replace(made, relative=relative, lines=lines, tied=scores.tied)
    if scores.qk_norm is not None:
        one = norm.lower(scores.qk_norm.norm, stream.biased("norm"))
        made = replace(made, norm=one, together=scores.qk_norm.over == "heads")
    return None if made == ir.Scores() else made


def common(sites: Iterable[ir.Attention]) -> ir.Common | None:
    """What all of them have in common that says so; None: none does."""
    for site in sites:
        if site.scores is not None and site.scores.tied:
            assert site.scores.relative is not None
            return ir.Common(site.heads, site.scores.relative, site.scores.lines)
    return None
