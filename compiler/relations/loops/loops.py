"""Loops over sets of tiles, as isl's code generator orders and bounds them.

block := (node, ...)
node  := Run | Loop(variable, start, stop, step, block) | If(condition, block, block)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mmspec.compiler.relations.isl import isl
from mmspec.compiler.relations.syntax import (
    Expression,
    Operation,
    added,
    read,
    simplified,
    variables,
)

__all__ = ["Block", "If", "Loop", "Node", "Run", "build", "free", "images"]


_KINDS: Final[Any] = isl.ast_node_type
"""islpy's stubs lack members whose names Python reserves."""


@dataclass(frozen=True, slots=True)
class Run:
    """Tiles start, start + step, ... before stop, along the last coordinate, at these others."""

    at: tuple[Expression, ...]
    start: Expression
    stop: Expression
    step: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """A block for each of start, start + step, ... before stop."""

    variable: str
    start: Expression
    stop: Expression
    step: int
    body: Block


@dataclass(frozen=True, slots=True)
class If:
    """One block or the other."""

    condition: Expression
    body: Block
    otherwise: Block = ()


Node = Run | Loop | If
Block = tuple[Node, ...]


def build(
    tiles: Mapping[bool, isl.Map], context: isl.Set, names: tuple[tuple[str, ...], tuple[str, ...]]
) -> Block:
    """Loops over the tiles of keys that each tile of queries is mapped to, in order.

    tiles: by whether they are whole. context: what is known of the query tile's indices and of
    the lengths, its parameters. names: of the indices of query tile and key tile.
    """
    queries, keys = names
    found = isl.UnionSet.empty(context.get_space())
    for whole, pairs in tiles.items():
        places = images(pairs, queries).align_params(context.get_space())
        places = places.set_tuple_name("whole" if whole else "border")
        found = found.union(isl.UnionSet.from_set(places))
    j = ", ".join(keys)
    order = isl.UnionMap(f"{{ whole[{j}] -> [{j}]; border[{j}] -> [{j}] }}")
    order = order.align_params(context.get_space())
    separate = "; ".join(f"[{j}] -> separate[{place}]" for place in range(len(keys)))
    ids = isl.IdList.alloc(isl.DEFAULT_CONTEXT, len(keys))
    for name in keys:
        ids = ids.add(isl.Id(name, isl.DEFAULT_CONTEXT))
    builder = isl.AstBuild.from_context(context).set_iterators(ids)
    builder = builder.set_options(
        isl.UnionMap(f"{{ {separate} }}").align_params(context.get_space())
    )
    node = builder.node_from_schedule_map(order.intersect_domain(found))
    return _block(node, context)


def images(pairs: isl.Map, names: tuple[str, ...]) -> isl.Set:
    """The tiles of keys of one tile of queries, whose indices become parameters."""
    at = pairs.dim(isl.dim_type.param)
    moved = pairs.move_dims(isl.dim_type.param, at, isl.dim_type.in_, 0, len(names)).range()
    for place, name in enumerate(names, at):
        moved = moved.set_dim_name(isl.dim_type.param, place, name)
    return moved


def _block(node: isl.AstNode, facts: isl.Set) -> Block:
    kind = node.get_type()
    if kind == _KINDS.block:
        children = node.block_get_children()
        parts = (_block(children.get_at(at), facts) for at in range(children.n_ast_node()))
        return tuple(part for found in parts for part in found)
    if kind == _KINDS.if_:
        condition = simplified(read(node.if_get_cond()), facts)
        otherwise = _block(node.if_get_else_node(), facts) if node.if_has_else_node() else ()
        return _if(condition, _block(node.if_get_then_node(), facts), otherwise)
    if kind == _KINDS.for_:
        return _for(node, facts)
    assert kind == _KINDS.user, kind
    call = node.user_get_expr()
    *at, last = (read(call.op_get_arg(place)) for place in range(1, call.op_get_n_arg()))
    whole = call.op_get_arg(0).get_id().get_name() == "whole"
    return (Run(tuple(at), last, added(last, 1), 1, whole),)


def _if(condition: Expression, body: Block, otherwise: Block) -> Block:
    """Without a condition that only says that the last tile, which the run is, is cut short."""
    for part in () if otherwise else _conjuncts(condition):
        match part, body:
            case Operation(">=", (Operation("%", (size, side)), 1)), (Run() as run,):
                last = Operation("//", (added(size, -1), side))
                if run.start == last and isinstance(side, int) and run.step == 1:
                    run = replace(run, start=Operation("//", (size, side)))
                    rest = [other for other in _conjuncts(condition) if other is not part]
                    return (If(_all(rest), (run,)),) if rest else (run,)
            case _:
                pass
    return (If(condition, body, otherwise),)


def _conjuncts(condition: Expression) -> tuple[Expression, ...]:
    if isinstance(condition, Operation) and condition.name == "and":
        return tuple(part for side in condition.of for part in _conjuncts(side))
    return (condition,)


def _all(conditions: list[Expression]) -> Expression:
    found = conditions[0]
    for condition in conditions[1:]:
        found = Operation("and", (found, condition))
    return found


def _for(node: isl.AstNode, facts: isl.Set) -> Block:
    variable = str(node.for_get_iterator().get_id().get_name())
    start = simplified(read(node.for_get_init()), facts)
    body = _block(node.for_get_body(), facts)
    if node.for_is_degenerate():
        stop, step = added(start, 1), 1
    else:
        stop, step = simplified(_stop(node), facts), _number(node.for_get_inc())
    if step == 1 and variable in variables(start) | variables(stop):
        return _conditional(variable, (start, stop), body)
    first = body[0] if body else None
    if len(body) == 1 and isinstance(first, Run) and first.start == variable:
        return (replace(first, start=start, stop=stop, step=step),)
    if node.for_is_degenerate() and variable not in _used(body):
        return body
    return (Loop(variable, start, stop, step, body),)


def _conditional(variable: str, ends: tuple[Expression, Expression], body: Block) -> Block:
    """A loop whose bounds read its own variable, which isl means as conditions on it."""
    kept: list[Expression] = []
    asked: list[Expression] = []
    for name, sign, end in (("max", ">=", ends[0]), ("min", "<", ends[1])):
        parts = _parts(name, end)
        plain = [part for part in parts if variable not in variables(part)]
        asked += [Operation(sign, (variable, part)) for part in parts if part not in plain]
        kept.append(Operation(name, tuple(plain)) if len(plain) > 1 else (plain or parts)[0])
    return (Loop(variable, kept[0], kept[1], 1, (If(_all(asked), body),)),)


def _parts(name: str, end: Expression) -> list[Expression]:
    """What a greatest or a least is of."""
    if isinstance(end, Operation) and end.name == name:
        return [part for side in end.of for part in _parts(name, side)]
    return [end]


def free(block: Block, known: frozenset[str]) -> frozenset[str]:
    """Names that the loops read where nothing has given them a value; there should be none.

    isl now and then bounds a loop by its own variable, where a set has more divisions than it
    can see through.
    """
    found: frozenset[str] = frozenset()
    for node in block:
        if isinstance(node, Loop):
            ends = variables(node.start) | variables(node.stop)
            found |= (ends - known) | free(node.body, known | {node.variable})
        elif isinstance(node, If):
            found |= variables(node.condition) - known
            found |= free(node.body, known) | free(node.otherwise, known)
        else:
            ends = frozenset().union(*map(variables, (*node.at, node.start, node.stop)))
            found |= ends - known
    return found


def _used(block: Block) -> frozenset[str]:
    """The names in its expressions."""
    found: set[str] = set()
    for node in block:
        if isinstance(node, Run):
            parts = (*node.at, node.start, node.stop)
        elif isinstance(node, Loop):
            parts = (node.start, node.stop)
            found |= _used(node.body)
        else:
            parts = (node.condition,)
            found |= _used(node.body) | _used(node.otherwise)
        found |= frozenset().union(*map(variables, parts))
    return frozenset(found)


def _number(value: isl.AstExpr) -> int:
    found = read(value)
    assert isinstance(found, int), found
    return found


def _stop(node: isl.AstNode) -> Expression:
    condition = read(node.for_get_cond())
    assert isinstance(condition, Operation), condition
    assert condition.name in ("<", "<="), condition
    return added(condition.of[1], int(condition.name == "<="))
