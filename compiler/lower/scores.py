"""Scores -> what a site does to its scores, and the segments that have relative ones."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.compiler.lower import norm
from mmspec.schema.stream import Stream

_RECORDS: dict[str, type[ir.Relative]] = {record.name: record for record in (ir.Alibi,)}


def lower(stream: Stream, segments: tuple[ir.Segment, ...]) -> ir.Scores | None:
    """None: scores are q · k, scaled, and no more."""
    scores = stream.scores
    if scores is None:
        return None
    found = [scores.between(segment.name, segment.name) for segment in segments]
    kinds = {each.name() for each in found if each is not None}
    made = ir.Scores(scale=scores.scale, sink=scores.sink)
    if kinds:
        (name,) = kinds
        made = replace(made, relative=_RECORDS[name](), lines=tuple(map(bool, found)))
    if scores.qk_norm is not None:
        one = norm.lower(scores.qk_norm.norm, stream.biased("norm"))
        made = replace(made, norm=one, together=scores.qk_norm.over == "heads")
    return None if made == ir.Scores() else made
