"""Influence by sets of integers: which token depends on which, at every length at once.

A relation maps the tokens of a segment to those of the origin, with the lengths as parameters:
masks are composed over layers, fusions and pooling, and what is empty is proved to be so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.limit import TooHardError, limited
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.expressions.mask import FULL, Mask
from mmspec.verify.flow.masks import pairs
from mmspec.verify.flow.walk import Origin, walk

_OPERATIONS: Final = 400_000
_MOST_PARTS: Final = 200


@dataclass(frozen=True, slots=True)
class Sets:
    """Relations are {[token] -> [token of the origin]}; of a stream as origin {[token] -> []}."""

    origin: Origin
    geometry: Geometry | None
    """Of the origin, where it is a modality."""

    def nothing(self, segment: ir.Segment) -> isl.Map:
        """No influence."""
        if self.geometry is None:
            space = _tokens(segment.geometry)
            return isl.Map.from_domain(space.subtract(space))
        everything = pairs(FULL, segment.geometry, self.geometry).visible
        return everything.subtract(everything)

    def own(self, segment: ir.Segment) -> isl.Map:
        """Each token depends on itself."""
        tokens = _tokens(segment.geometry)
        return isl.Map.from_domain(tokens) if self.geometry is None else tokens.identity()

    def see(self, query: ir.Segment, key: ir.Segment, mask: Mask, reach: isl.Map) -> isl.Map:
        """The composition."""
        seen = pairs(mask, query.geometry, key.geometry).visible
        return _checked(seen.apply_range(reach))

    def join(self, one: isl.Map, other: isl.Map) -> isl.Map:
        """The union."""
        if other.plain_is_empty() or one.plain_is_equal(other):
            return one
        return _checked(one.union(other))

    def same(self, one: isl.Map, other: isl.Map) -> bool:
        """Whether they are equal at every length."""
        return bool(one.is_equal(other))

    def has_tokens(self, value: ir.Value) -> bool:
        """At some length it does."""
        return True

    def weight(self, segment: ir.Segment, relation: isl.Map) -> int:
        """Paths are not asked of sets."""
        return 0


def _tokens(geometry: Geometry) -> isl.Set:
    return pairs(FULL, geometry, geometry).visible.domain()


def _checked(found: isl.Map) -> isl.Map:
    found = found.coalesce()
    if found.n_basic_map() > _MOST_PARTS:
        raise TooHardError(f"more than {_MOST_PARTS} parts")
    return found


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether something flows at any length, and at one that the spec admits.

    lengths: tokens by modality at which it does, if the spec admits any.
    """

    ever: bool
    lengths: Mapping[str, int] | None


def prove(plan: ir.Plan, origin: Origin, place: tuple[str, str], later: bool) -> Proof:
    """Whether the origin reaches a segment as it leaves a stream (place: stream and segment).

    later: only tokens of the origin that come after the token reached count. Raises TooHardError.
    """
    with limited(_OPERATIONS):
        algebra = Sets(origin, _geometry(plan, origin))
        found = walk(plan, origin, algebra)[place].relation
        if later:
            found = found.intersect(isl.Map.lex_lt(found.get_space().domain()))
        if found.is_empty():
            return Proof(False, None)
        admitted = found.params().intersect(_limits(plan))
        return Proof(True, None if admitted.is_empty() else _least(plan, admitted))


def _geometry(plan: ir.Plan, origin: Origin) -> Geometry | None:
    if origin.kind == "stream":
        return None
    embeds = (node for node in plan.nodes if isinstance(node, ir.Embed))
    return next(e.own.geometry for e in embeds if e.modality == origin.name)


def _steps(plan: ir.Plan) -> dict[str, ir.Input]:
    """Inputs of variable length, by the symbol that counts their steps."""
    return {f"n_{given.name}": given for given in plan.inputs if given.tokens.symbol}


def _limits(plan: ir.Plan) -> isl.Set:
    """Lengths that the spec admits."""
    steps = _steps(plan)
    facts = [f"0 <= {name} <= {x.tokens.max // x.area}" for name, x in steps.items()]
    return isl.Set(f"[{', '.join(steps)}] -> {{ : {' and '.join(facts) or 'true'} }}")


def _least(plan: ir.Plan, admitted: isl.Set) -> dict[str, int]:
    """The first of the lengths; 1 step where a length does not matter, which is never too few."""
    dims = isl.dim_type
    count = admitted.dim(dims.param)
    names = [str(admitted.get_dim_name(dims.param, at)) for at in range(count)]
    space = admitted.move_dims(dims.set, 0, dims.param, 0, count)
    point = space.lexmin().sample_point()
    values = {
        name: int(point.get_coordinate_val(dims.set, at).to_python())
        for at, name in enumerate(names)
    }
    found = {given.name: given.tokens.max for given in plan.inputs}
    for name, given in _steps(plan).items():
        found[given.name] = max(values.get(name, 1), 1) * given.area
    return found
