"""Scores -> the relative score of a site, and the segments that have it."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema.scores import Scores

_RECORDS: dict[str, type[ir.Relative]] = {record.name: record for record in (ir.Alibi,)}


def lower(scores: Scores | None, segments: tuple[ir.Segment, ...]) -> ir.Scores | None:
    """None: scores are q · k, scaled, and no more."""
    if scores is None:
        return None
    found = [scores.between(segment.name, segment.name) for segment in segments]
    kinds = {each.name() for each in found if each is not None}
    if not kinds:
        return None
    (name,) = kinds
    return ir.Scores(_RECORDS[name](), tuple(each is not None for each in found))
