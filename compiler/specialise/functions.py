"""Specialises functions that go through modules, as `specialise` does classes.

A function of `parts/decoding.py` has constants of the spec after `*`. They are folded, what nobody
reads is removed, a function that is called with constants becomes one of its own (or the expression
that a choice between several comes to), and parts are called like the classes that a model has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mmspec.compiler.specialise.constants import Bound, Constants
from mmspec.compiler.specialise.defaults import drop_defaults
from mmspec.compiler.specialise.fold import Scope, fold
from mmspec.compiler.specialise.inline import substituted
from mmspec.compiler.specialise.joining import join
from mmspec.compiler.specialise.nodes import names_read, rebuild, unused, with_fields
from mmspec.compiler.specialise.origin import origin_of
from mmspec.compiler.specialise.partial import Folder
from mmspec.compiler.specialise.source import Library, Statement, walk
from mmspec.compiler.specialise.trim import map_statements, parameters, without
from mmspec.compiler.specialise.unparse import Printer
from mmspec.compiler.specialise.wrapping import render_statement


@dataclass(frozen=True, slots=True)
class Site:
    """Where functions are specialised for: a prefix for their names, and the model's classes.

    classes: their names by the part they come from. calls: by attribute, the parameters that a
    module's forward had and those that are left.
    """

    owner: str
    classes: Mapping[str, str]
    calls: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """A specialised function: its name, the parameters that are left, its statement."""

    name: str
    left: tuple[str, ...]
    statement: Statement

    @property
    def source(self) -> str:
        """Its text."""
        return "\n".join(render_statement(self.statement, 0, Printer())) + "\n"


@dataclass
class Functions:
    """Collects specialised functions of a library, in an order that Python can run."""

    library: Library
    named: Constants = field(default_factory=Constants)
    """What the package calls its constants."""
    made: dict[str, Function] = field(default_factory=dict)
    """By the text they would have under the helper's own name: those alike are one."""
    taken: set[str] = field(default_factory=set)

    def request(self, helper: str, constants: Mapping[str, object], site: Site) -> Function:
        """A helper with its constants; an expression may stand for a constant."""
        statement = self.library.helpers[helper].statement
        folded = join(_without_idle(self._folded(statement, constants, site)))
        folded = self._with_names(folded, Bound(constants, owner=site.owner))
        folded = _renamed(without(folded, set(parameters(folded)) - _read(folded)), site.classes)
        made = Function(helper, parameters(folded), folded)
        return self.made.setdefault(made.source, self._named(made, site))

    def _folded(
        self, statement: Statement, constants: Mapping[str, object], site: Site
    ) -> Statement:
        scope = Scope(
            names=dict(constants),
            attributes={},
            present=set(),
            module={},
            parts=self.library.parts,
            call=lambda call, inner: self._call(call, inner, site),
            child=lambda attribute, name: None,
            origins={name: ast.Name(name, ast.Load()) for name in constants},
        )
        body = Folder(scope).block(statement.body)
        return without(replace(statement, body=body), constants)

    def _with_names(self, statement: Statement, known: Bound) -> Statement:
        """A function with constants by name."""

        def visit(node: ast.expr) -> ast.expr:
            origin = origin_of(node)
            if origin is not None:
                return self.named.put(node, origin, known)
            new = rebuild(node, visit)
            return drop_defaults(new) if isinstance(new, ast.Call) else new

        return map_statements(statement, lambda node: rebuild(node, visit))

    def _named(self, made: Function, site: Site) -> Function:
        """The function under a name that no other one has."""
        if made.source in self.made:
            return made
        wanted = made.name if made.name not in self.taken else f"{site.owner}_{made.name}"
        name = unused(wanted, self.taken)
        self.taken.add(name)
        if name == made.name:
            return made
        node = with_fields(made.statement.node, {"name": name})
        return replace(made, name=name, statement=made.statement.changed(node))

    def _call(self, node: ast.Call, scope: Scope, site: Site) -> ast.expr | None:
        """A call of a function with constants, or of a module whose forward takes less now."""
        func = fold(node.func, scope)
        if isinstance(func, ast.Attribute) and func.attr in site.calls:
            before, left = site.calls[func.attr]
            pairs = zip(before, node.args, strict=False)
            values = dict(pairs) | {item.arg or "**": item.value for item in node.keywords}
            kept = [fold(values[name], scope) for name in left]
            return ast.Call(func, kept, [])
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        helper = self.library.helpers.get(name)
        given = helper.statement.node if helper else None
        if helper is None or not isinstance(given, ast.FunctionDef) or not given.args.kwonlyargs:
            return None
        constants = {k.arg or "**": _constant(k.value, scope) for k in node.keywords}
        pairs = zip([a.arg for a in given.args.args], node.args, strict=True)
        arguments = {name: fold(value, scope) for name, value in pairs}
        if sum(isinstance(s.node, ast.Return) for s in walk(helper.statement.body)) > 1:
            folded = self._folded(helper.statement, constants, site)
            folded = self._with_names(folded, Bound(constants, owner=site.owner))
            inlined = substituted(folded, arguments)
            if inlined is not None:
                return inlined
        found = self.request(name, constants, site)
        kept = [arguments[name] for name in found.left]
        return ast.Call(ast.Name(found.name, ast.Load()), kept, [])


def _constant(node: ast.expr, scope: Scope) -> object:
    """The value of a constant, or the name that stands for one."""
    folded = fold(node, scope)
    return folded if isinstance(folded, ast.Name) else scope.value(folded)


def _read(statement: Statement) -> set[str]:
    """Names that a function's body reads."""
    nodes = (node for inner in walk(statement.body) for node in inner.header())
    return {name for node in nodes for name in names_read(node)}


def _without_idle(statement: Statement) -> Statement:
    """A function without what it only names: nothing here does more than compute."""
    while True:
        left = replace(statement, body=tuple(_kept(statement.body, _read(statement))))
        if _size(left) == _size(statement):
            return statement
        statement = left


def _size(statement: Statement) -> int:
    return sum(1 for _ in walk(statement.body))


def _kept(block: Iterable[Statement], read: set[str]) -> Iterable[Statement]:
    for statement in block:
        node = statement.node
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id not in read:
            continue
        body, orelse = (tuple(_kept(b, read)) for b in (statement.body, statement.orelse))
        yield replace(statement, body=body, orelse=orelse)


def _renamed(statement: Statement, names: Mapping[str, str]) -> Statement:
    """A statement with some names in the place of others."""

    def visit(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) and names.get(node.id, node.id) != node.id:
            return ast.Name(names[node.id], ast.Load())
        return rebuild(node, visit)

    return map_statements(statement, lambda node: rebuild(node, visit))
