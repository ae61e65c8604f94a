"""Syntax nodes as values: they never change, so identity tells whether a rewrite did anything."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from keyword import iskeyword
from operator import is_not
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)


def rebuild(node: Node, visit: Callable[[ast.expr], ast.expr]) -> Node:
    """The node with its expressions visited; itself if none of them changed."""
    changes: dict[str, object] = {}
    for name in _fields(type(node)):
        value = getattr(node, name, None)
        if isinstance(value, list):
            if not value or isinstance(value[0], ast.stmt):
                continue
            items = [_visit(item, visit) for item in value]
            if any(map(is_not, items, value)):
                changes[name] = items
        elif value is not None:
            new = _visit(value, visit)
            if new is not value:
                changes[name] = new
    return with_fields(node, changes) if changes else node


_NO_EXPRESSION = frozenset(
    {"ctx", "op", "ops", "id", "attr", "arg", "name", "names", "kind", "type_comment"}
    | {"is_async", "conversion", "simple", "level", "module", "given"}
)


_known_fields: dict[type[ast.AST], tuple[str, ...]] = {}


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Those fields of a type of node in which an expression may be."""
    found = _known_fields.get(kind)
    if found is None:
        fields = () if issubclass(kind, ast.Constant) else kind._fields
        found = tuple(name for name in fields if name not in _NO_EXPRESSION)
        _known_fields[kind] = found
    return found


def with_fields(node: Node, changes: Mapping[str, object]) -> Node:
    """A copy of a node with some fields replaced."""
    fields = {**dict(ast.iter_fields(node)), **changes}
    return ast.copy_location(type(node)(**fields), node)


_BETWEEN = (ast.keyword, ast.comprehension, ast.withitem, ast.arguments, ast.arg)
"""Nodes between an expression and those in it."""


def _visit(value: Any, visit: Callable[[ast.expr], ast.expr]) -> Any:
    if isinstance(value, ast.expr):
        return visit(value)
    return rebuild(value, visit) if isinstance(value, _BETWEEN) else value


def descend(node: ast.AST) -> tuple[ast.AST, ...]:
    """A node and all below it, in order, but for operators and contexts.

    It is kept with the node, since nodes never change.
    """
    found: tuple[ast.AST, ...] | None = node.__dict__.get("_descend")
    if found is None:
        below: list[ast.AST] = [node]
        for name in _fields(type(node)):
            value = getattr(node, name, None)
            if isinstance(value, list):
                for item in value:
                    if isinstance(item, ast.AST):
                        below += descend(item)
            elif isinstance(value, ast.AST):
                below += descend(value)
        found = node.__dict__["_descend"] = tuple(below)
    return found


def names_read(node: ast.AST) -> tuple[str, ...]:
    """Every name that a node loads, in order; kept with the node."""
    found: tuple[str, ...] | None = node.__dict__.get("_names")
    if found is None:
        names = (item for item in descend(node) if isinstance(item, ast.Name))
        found = tuple(item.id for item in names if isinstance(item.ctx, ast.Load))
        node.__dict__["_names"] = found
    return found


def is_self(node: ast.expr) -> bool:
    """Whether an expression is `self.x`."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def own_attribute(name: str, context: ast.expr_context) -> ast.Attribute:
    """`self.name`."""
    return ast.Attribute(ast.Name("self", ast.Load()), name, context)


def joined(op: ast.boolop, values: list[ast.expr]) -> ast.expr:
    """`and` or `or` of values, or the single one."""
    return values[0] if len(values) == 1 else ast.BoolOp(op, values)


def identifier(value: object) -> str:
    """A string that may become an attribute name; anything else is a programmer's error."""
    assert type(value) is str and value.isascii() and value.isidentifier(), repr(value)
    assert not iskeyword(value) and not value.startswith("__"), repr(value)
    return value


def unused(name: str, taken: set[str]) -> str:
    """The name, or the name with the first number that nobody has."""
    number, found = 1, name
    while found in taken or iskeyword(found):
        number += 1
        found = f"{name}_{number}" if name[0].islower() else f"{name}{number}"
    return found
