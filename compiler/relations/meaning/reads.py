"""What the rows of a segment read, followed back from an output: maps of integers.

A map sends rows [t] to the tokens of a segment that they depend on, lengths being parameters. Maps
grow with the lengths, so what some length shows is said of all: no length ends a segment. Rows of a
document are those from a parameter on, where it begins.
"""

from __future__ import annotations

from typing import Final

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.meaning.alive import as_python, condition
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.compiler.relations.meaning.relation import relation
from mmspec.compiler.relations.syntax import replaced
from mmspec.expressions.mask import FULL, Mask

__all__ = [
    "document",
    "everything",
    "itself",
    "join",
    "later",
    "onward",
    "pooled",
    "tells_all",
    "through",
    "told",
]

_BEGIN: Final = "begin"


def itself(segment: Geometry) -> isl.Map:
    """Each row reads its own token."""
    return _tokens(segment).identity()


def document() -> isl.Set:
    """Tokens of a document, wherever it begins."""
    return isl.Set(f"[{_BEGIN}] -> {{ [t] : 0 <= {_BEGIN} <= t }}")


def later(separate: bool) -> isl.Set:
    """Tokens that are predicted at all: those behind the first, of a document or of a sample."""
    return isl.Set(
        f"[{_BEGIN}] -> {{ [t] : 0 <= {_BEGIN} < t }}" if separate else "{ [t] : t > 0 }"
    )


def everything(rows: isl.Map, segment: Geometry) -> isl.Map:
    """Each of these rows reads all tokens of a segment."""
    return isl.Map.from_domain_and_range(rows.domain(), _tokens(segment))


def through(reads: isl.Map, mask: Mask, query: Geometry, key: Geometry) -> isl.Map:
    """What rows read of the keys that those tokens see which they read already."""
    found = reads.apply_range(relation(widest(mask), query, key).visible)
    return found.detect_equalities().coalesce()


def onward(mask: Mask, query: Geometry, key: Geometry, reads: isl.Map) -> isl.Map:
    """What queries read that see keys which read something already."""
    found = relation(widest(mask), query, key).visible.apply_range(reads)
    return found.detect_equalities().coalesce()


def pooled(rows: Geometry, reads: isl.Map) -> isl.Map:
    """Each row reads all that any of others does."""
    return isl.Map.from_domain_and_range(_tokens(rows), reads.range())


def join(one: isl.Map, other: isl.Map) -> isl.Map:
    """What rows read by one and by the other."""
    if one.plain_is_equal(other):
        return one
    return one.union(other).detect_equalities().coalesce()


def tells_all(reads: isl.Map, most: int) -> bool:
    """Whether each of so many tokens but the first is read by the row before it.

    Of documents that is the one which begins where the sample does: its rows read the most.
    """
    found = _next(reads).project_out_all_params()
    return bool(isl.Set(f"{{ [k] : 1 <= k < {most} }}").is_subset(found))


def told(reads: isl.Map, most: int) -> str:
    """Which of so many tokens are read by the row before them, as Python reads it; "": none.

    Token k of a sample is token p of its document, which begins at k - p.
    """
    set_ = isl.dim_type.set
    found = _next(reads)
    if found.find_dim_by_name(isl.dim_type.param, _BEGIN) < 0:
        return _condition(found, "k", most)
    begun = found.move_dims(set_, 1, isl.dim_type.param, 0, 1)
    pairs = isl.Set(f"{{ [k, p] : 1 <= p <= k < {most} }}")
    found = begun.apply(isl.Map("{ [k, begin] -> [k, k - begin] }")).intersect(pairs).coalesce()
    for name, other in (("p", 0), ("k", 1)):
        alone = found.project_out(set_, other, 1)
        if pairs.subtract(found).project_out(set_, other, 1).is_disjoint(alone):
            return _condition(alone, name, most)
    both, every = (
        x.set_dim_name(set_, 1, "p").move_dims(isl.dim_type.param, 0, set_, 1, 1)
        for x in (found, pairs)
    )
    return as_python(condition(both, every))


def _condition(tokens: isl.Set, name: str, most: int) -> str:
    """Which tokens, but the first, are among these, by a variable of that name."""
    every = isl.Set(f"{{ [k] : 1 <= k < {most} }}")
    found = tokens.intersect(every).compute_divs().coalesce()
    if found.is_empty():
        return ""
    return as_python(replaced(condition(found, every), "k", name))


def _next(reads: isl.Map) -> isl.Set:
    """Tokens that the row before them reads, at some length."""
    found = reads.intersect(isl.Map("{ [t] -> [t + 1] }")).range()
    for place in reversed(range(found.n_param())):
        if found.get_dim_name(isl.dim_type.param, place) != _BEGIN:
            found = found.project_out(isl.dim_type.param, place, 1)
    return found.coalesce()


def _tokens(geometry: Geometry) -> isl.Set:
    return relation(FULL, geometry, geometry).visible.domain()
