"""Joins what a person would have written as one: values named only for the next statement.

A value that is returned at once is returned without a name; so is one that has a type for a type
checker alone, in what is returned, where that is short. In a loop that was written out, where
each round names the same things again, what only the next statement reads stands in it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmspec.compiler.specialise.nodes import names_read, rebuild
from mmspec.compiler.specialise.partial import stored
from mmspec.compiler.specialise.source import Statement, walk
from mmspec.compiler.specialise.trim import map_statements
from mmspec.compiler.specialise.unparse import LIMIT

_SIMPLE = (ast.Assign, ast.AnnAssign, ast.Return, ast.Expr)


def join(method: Statement) -> Statement:
    """A function without the names that only the next statement reads."""
    return replace(method, body=_block(method.body, list(_reads(method.body))))


def unlooped(member: Statement) -> Statement:
    """A method with `[x]` in the place of `[x for _ in range(1)]`."""

    def visit(item: ast.expr) -> ast.expr:
        if isinstance(item, ast.ListComp) and ast.unparse(item).endswith(" for _ in range(1)]"):
            return ast.List([item.elt], ast.Load())
        return rebuild(item, visit)

    return map_statements(member, lambda node: rebuild(node, visit))


def _block(block: Sequence[Statement], reads: list[str]) -> tuple[Statement, ...]:
    """A block of a method that reads those names."""
    out: list[Statement] = []
    own = list(_reads(block))
    for place, statement in enumerate(block):
        body, orelse = _block(statement.body, reads), _block(statement.orelse, reads)
        if body != statement.body or orelse != statement.orelse:
            statement = replace(statement, body=body, orelse=orelse)
        name = _named(out[-1]) if out else ""
        again = own.count(name) < reads.count(name)
        if name and _passed(name, out[-1], statement):
            if isinstance(statement.node, ast.Return) or not (
                again or _alive(name, statement, (*block[place + 1 :], *block))
            ):
                statement = _joined(out.pop(), statement, name)
        out.append(statement)
    return tuple(out)


def _named(statement: Statement) -> str:
    """The one name that a statement gives a value; "" where it does anything else."""
    node = statement.node
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    plain = isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
    return target.id if plain and isinstance(target, ast.Name) else ""


def _passed(name: str, first: Statement, second: Statement) -> bool:
    """Whether the value of one statement is there for the next, to be read once."""
    if not isinstance(second.node, _SIMPLE) or first.comment or second.above or second.gap:
        return False
    if isinstance(second.node, ast.Return):
        value = second.node.value
        if isinstance(first.node, ast.AnnAssign) and [*_reads([second])].count(name) == 1:
            return len(ast.unparse(first.node) + ast.unparse(second.node)) < LIMIT
        return isinstance(value, ast.Name) and value.id == name
    if not (first.repeated and second.repeated and isinstance(first.node, ast.Assign)):
        return False
    if isinstance(first.node.value, ast.Call) and name in _reads([first]):
        return False  # a step after another, each a line of its own
    return [*_reads([second])].count(name) == 1


def _alive(name: str, second: Statement, after: Sequence[Statement]) -> bool:
    """Whether a name is read before it is given another value; after the block it begins again."""
    if name in stored(second.node):
        return False
    for statement in after:
        if name in _reads([statement]):
            return True
        if name in stored(statement.node):
            return False
    return False


def _reads(block: Sequence[Statement]) -> Iterator[str]:
    for statement in walk(block):
        for node in statement.header():
            yield from names_read(node)


def _joined(first: Statement, second: Statement, name: str) -> Statement:
    """The second statement with the value in the place of its name."""
    node = first.node
    assert isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
    value = node.value

    def visit(item: ast.expr) -> ast.expr:
        if isinstance(item, ast.Name) and item.id == name and isinstance(item.ctx, ast.Load):
            return value
        return rebuild(item, visit)

    made = second.changed(rebuild(second.node, visit))
    return replace(made, above=first.above, gap=first.gap)
