"""A specialised class before it has a name, and what those who asked for it learn of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mmspec.compiler.specialise.defaults import drop_defaults
from mmspec.compiler.specialise.docstrings import document
from mmspec.compiler.specialise.evaluate import evaluate
from mmspec.compiler.specialise.nodes import rebuild
from mmspec.compiler.specialise.purity import Signature
from mmspec.compiler.specialise.source import Statement
from mmspec.compiler.specialise.trim import map_statements


@dataclass(slots=True)
class Specialised:
    """A requested class: its name (known after `finish`) and what its methods still take.

    forward: parameters of `forward` that survived, in order; dropped: those that are gone;
    returns: the annotation of `forward`; methods: surviving parameters by method; arguments: the
    text of what its constructor takes, where others of the package share the class.
    """

    forward: tuple[str, ...]
    dropped: frozenset[str]
    returns: str
    methods: Mapping[str, tuple[str, ...]]
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Class:
    """A specialised class before it has a name; `id` stands for it in the sources of others.

    statics: values of the attributes that were folded in; origins: what they stand for, in terms
    of the constructor's parameters (`bound`).
    """

    id: str
    part: str
    owner: str
    bound: Mapping[str, object]
    keep: frozenset[str]
    members: tuple[Statement, ...]
    signatures: Mapping[str, Signature]
    statics: Mapping[str, object]
    origins: Mapping[str, ast.expr]
    source: str
    handle: Specialised

    def values(self) -> dict[str, object]:
        """What docstrings may name."""
        return {**self.bound, **self.statics}


Text = Callable[[str], object]
"""What stands in a docstring for a constant that it names; raises NotStatic for anything else."""


def settled(members: tuple[Statement, ...], text: Text) -> tuple[Statement, ...]:
    """Members as they are printed: docstrings say constants, calls leave out torch's defaults."""

    def visit(node: ast.expr) -> ast.expr:
        new = rebuild(node, visit)
        return drop_defaults(new) if isinstance(new, ast.Call) else new

    lean = (map_statements(member, lambda node: rebuild(node, visit)) for member in members)
    return tuple(_documented(member, text) for member in lean)


def plain_text(values: Mapping[str, object]) -> Text:
    """Constants by their value."""
    return lambda name: evaluate(ast.parse(name, mode="eval").body, values)


def _documented(member: Statement, text: Text) -> Statement:
    """A docstring, or a method with one, that says its constants."""
    if isinstance(member.node, ast.FunctionDef):
        if not member.body:
            return member
        first = _documented(member.body[0], text) if _is_text(member.body[0]) else member.body[0]
        return (
            member if first is member.body[0] else replace(member, body=(first, *member.body[1:]))
        )
    return document(member, text)


def _is_text(statement: Statement) -> bool:
    node = statement.node
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
