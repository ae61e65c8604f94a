"""What a literal stood for: a constant that was folded in remembers the expression it came from.

Expressions are those of the constructor's parameters, or `self.x` of an attribute in a method.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TypeVar

from mmspec.compiler.specialise.nodes import descend, is_self, rebuild

Given = tuple[tuple[str, ast.expr], ...]
Expression = TypeVar("Expression", bound=ast.expr)


class Nested(ast.Call):
    """The call of a nested part, and the expression that was given for each of its constants."""

    _fields = (*ast.Call._fields, "given")
    given: Given


def nested(name: str, given: Given) -> Nested:
    """The call of the class that stands for a nested part."""
    return Nested(ast.Name(name, ast.Load()), [], [], given)  # type: ignore[call-arg, arg-type]


def stamped(node: Expression, origin: ast.expr | None) -> Expression:
    """A fresh constant that remembers what it stood for; so do the items of a tuple."""
    if origin is None or not any(_roots(origin)):
        return node
    node.__dict__["_origin"] = (origin,)
    for place, item in enumerate(node.elts if isinstance(node, ast.Tuple) else ()):
        part = ast.Subscript(origin, ast.Constant(place), ast.Load())
        stamped(item, origin.elts[place] if isinstance(origin, ast.Tuple) else part)
    return node


def origin_of(node: ast.AST) -> ast.expr | None:
    """The expression that a literal stood for."""
    found: tuple[ast.expr] | None = node.__dict__.get("_origin")
    return found[0] if found else None


def symbolic(node: ast.expr) -> ast.expr:
    """An expression as it was before its constants were put in."""
    return origin_of(node) or rebuild(node, symbolic)


def known_origin(node: ast.expr) -> ast.expr | None:
    """The same; None for one that no constant was put in."""
    return symbolic(node) if any(origin_of(item) for item in descend(node)) else None


def atoms(node: ast.AST) -> Iterator[ast.expr]:
    """The constants of an expression: `x`, `x.y`, `x.y[0].z` and `self.x`, in order."""
    if isinstance(node, ast.expr) and _chain(node):
        yield node
        return
    own = {item.id for item in descend(node) if isinstance(item, ast.Name) and _stored(item)}
    for item in ast.iter_child_nodes(node):
        if not isinstance(node, ast.Call) or item is not node.func:
            yield from (atom for atom in atoms(item) if not own & set(_roots(atom)))


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def substituted_atoms(node: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """An expression with others in the place of some atoms, by their dump."""
    if _chain(node):
        return values.get(ast.dump(node), node)
    return rebuild(node, lambda item: substituted_atoms(item, values))


def _chain(node: ast.expr) -> bool:
    """Whether an expression reads one constant, or a part of it."""
    if isinstance(node, ast.Name) or is_self(node):
        return True
    if isinstance(node, ast.Attribute):
        return _chain(node.value)
    whole = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
    return whole and isinstance(node, ast.Subscript) and _chain(node.value)


def _roots(node: ast.expr) -> Iterator[str]:
    return (item.id for item in descend(node) if isinstance(item, ast.Name))
