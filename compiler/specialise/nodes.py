"""Syntax nodes as values: they never change, so identity tells whether a rewrite did anything."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from keyword import iskeyword
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)


def rebuild(node: Node, visit: Callable[[ast.expr], ast.expr]) -> Node:
    """The node with its expressions visited; itself if none of them changed."""
    changes: dict[str, object] = {}
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            items = [_visit(item, visit) for item in value]
            if any(new is not old for new, old in zip(items, value, strict=True)):
                changes[name] = items
        elif isinstance(value, ast.AST):
            new = _visit(value, visit)
            if new is not value:
                changes[name] = new
    return with_fields(node, changes) if changes else node


def with_fields(node: Node, changes: Mapping[str, object]) -> Node:
    """A copy of a node with some fields replaced."""
    fields = {**dict(ast.iter_fields(node)), **changes}
    return ast.copy_location(type(node)(**fields), node)


def _visit(value: Any, visit: Callable[[ast.expr], ast.expr]) -> Any:
    if isinstance(value, ast.expr):
        return visit(value)
    if isinstance(value, ast.keyword | ast.comprehension | ast.withitem | ast.arguments | ast.arg):
        return rebuild(value, visit)
    return value


def descend(node: ast.AST) -> tuple[ast.AST, ...]:
    """A node and all below it, in order; kept with the node, since nodes never change."""
    found: tuple[ast.AST, ...] | None = node.__dict__.get("_descend")
    if found is None:
        below: list[ast.AST] = [node]
        for value in node.__dict__.values():
            if isinstance(value, ast.AST):
                below += descend(value)
            elif isinstance(value, list):
                for item in value:
                    if isinstance(item, ast.AST):
                        below += descend(item)
        found = tuple(below)
        node.__dict__["_descend"] = found
    return found


def names_read(node: ast.AST) -> Iterator[str]:
    """Every name that a node loads, in order."""
    for item in descend(node):
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load):
            yield item.id


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
