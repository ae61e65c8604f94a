"""What the rows of a segment read, followed back from an output: maps of integers.

A map sends rows [t] to the tokens of a segment that they depend on, lengths being parameters. Maps
grow with the lengths, so what some length shows is said of all: no length ends a segment.
"""

from __future__ import annotations

from typing import Final

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.meaning.alive import as_python, condition
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.expressions.mask import Mask, Pattern

__all__ = ["everything", "itself", "tells_all", "through", "told"]

_FULL: Final = Pattern("full")


def itself(segment: Geometry) -> isl.Map:
    """Each row reads its own token."""
    return _tokens(segment).identity()


def everything(rows: Geometry, segment: Geometry) -> isl.Map:
    """Each row reads all tokens of a segment."""
    return isl.Map.from_domain_and_range(_tokens(rows), _tokens(segment))


def through(reads: isl.Map, mask: Mask, query: Geometry, key: Geometry) -> isl.Map:
    """What rows read of the keys that those tokens see which they read already."""
    return reads.apply_range(relation(widest(mask), query, key).visible).coalesce()


def tells_all(reads: isl.Map, most: int) -> bool:
    """Whether each of so many tokens but the first is read by the row before it."""
    return _every(most).is_subset(_next(reads))


def told(reads: isl.Map, most: int) -> str:
    """Which of so many tokens k are read by the row before them, as Python reads it; "": none."""
    found = _next(reads).intersect(_every(most))
    return "" if found.is_empty() else as_python(condition(found, _every(most)))


def _every(most: int) -> isl.Set:
    return isl.Set(f"{{ [k] : 1 <= k < {most} }}")


def _next(reads: isl.Map) -> isl.Set:
    """Tokens that the row before them reads, at some length."""
    following = isl.Map("{ [t] -> [t + 1] }")
    return reads.intersect(following).range().project_out_all_params().coalesce()


def _tokens(geometry: Geometry) -> isl.Set:
    return relation(_FULL, geometry, geometry).visible.domain()
