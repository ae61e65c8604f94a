"""Helpers that a constant decides: `activate(x, "gelu")` becomes `F.gelu(x)`.

A helper whose branches all hang on constant arguments is folded. If one `return` is left, it
replaces the call; otherwise the folded function is emitted in the place of the general one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mmspec.compiler.specialise.evaluate import NotStatic, literal
from mmspec.compiler.specialise.fold import Scope, fold
from mmspec.compiler.specialise.nodes import descend, is_self, names_read, rebuild
from mmspec.compiler.specialise.origin import known_origin
from mmspec.compiler.specialise.partial import Folder
from mmspec.compiler.specialise.purity import BUILTINS
from mmspec.compiler.specialise.source import Library, Statement, walk
from mmspec.compiler.specialise.trim import real, without


@dataclass(frozen=True, slots=True)
class Variant:
    """A helper with some of its parameters folded away."""

    id: str
    helper: str
    statement: Statement


@dataclass
class Inliner:
    """Folds helpers into their callers; `variants` are those that stay functions."""

    library: Library
    variants: dict[str, Variant] = field(default_factory=dict)
    modes: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def ids(self) -> frozenset[str]:
        """Placeholders of the folded helpers."""
        return frozenset(self.variants)

    def call(self, node: ast.Call, scope: Scope) -> ast.expr | None:
        """What a call of a helper becomes; None where it stays as it is."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        helper = self.library.helpers.get(name)
        if helper is None or not isinstance(helper.statement.node, ast.FunctionDef):
            return None
        modes = self._modes(name, helper.statement)
        if not modes or helper.statement.node.decorator_list:
            return None
        arguments = _bound(helper.statement.node, node, scope)
        values: dict[str, object] = {}
        try:
            for mode in modes:
                values[mode] = scope.value(arguments[mode])
                literal(values[mode])
        except (NotStatic, KeyError):
            return None
        values |= _static({k: v for k, v in arguments.items() if k not in values}, scope)
        origins = {name: known_origin(arguments[name]) for name in values}
        body = self._folded(helper.statement, values, scope, origins)
        rest = {k: v for k, v in arguments.items() if k not in values}
        return substituted(body, rest) or self._variant(name, body, values, rest)

    def _modes(self, name: str, statement: Statement) -> frozenset[str]:
        """The parameters that decide every branch of a helper; none if anything else does."""
        if name not in self.modes:
            node = statement.node
            assert isinstance(node, ast.FunctionDef)
            own = {item.arg for item in (*node.args.args, *node.args.kwonlyargs)}
            read = {n for test in _tests(statement) for n in names_read(test)}
            read -= {*BUILTINS, *self.library.imports}
            self.modes[name] = frozenset(read) if read <= own else frozenset()
        return self.modes[name]

    def _folded(
        self,
        statement: Statement,
        values: Mapping[str, object],
        scope: Scope,
        origins: Mapping[str, ast.expr | None],
    ) -> Statement:
        inner = replace(scope, names=dict(values), attributes={}, present=set(), hidden=frozenset())
        inner.origins = {name: found for name, found in origins.items() if found is not None}
        body = Folder(inner).block(statement.body)
        return replace(without(statement, values), body=body)

    def _variant(
        self,
        name: str,
        body: Statement,
        values: Mapping[str, object],
        arguments: Mapping[str, ast.expr],
    ) -> ast.expr:
        key = f"{name}#{sorted(values.items())!r}"
        self.variants.setdefault(key, Variant(key, name, body))
        node = body.node
        assert isinstance(node, ast.FunctionDef)
        plain = [arguments[item.arg] for item in node.args.args if item.arg in arguments]
        named = [
            ast.keyword(item.arg, arguments[item.arg])
            for item in node.args.kwonlyargs
            if item.arg in arguments
        ]
        return ast.Call(ast.Name(key, ast.Load()), plain, named)


def _tests(statement: Statement) -> Iterator[ast.expr]:
    """The conditions that choose between the branches of a function."""
    for inner in walk(statement.body):
        if isinstance(inner.node, ast.If | ast.While):
            yield inner.node.test
        for node in inner.header():
            yield from (item.test for item in descend(node) if isinstance(item, ast.IfExp))


def _static(arguments: Mapping[str, ast.expr], scope: Scope) -> dict[str, object]:
    """The arguments that are constants, with their values."""
    found: dict[str, object] = {}
    for name, argument in arguments.items():
        with suppress(NotStatic):
            found[name] = scope.value(argument)
            literal(found[name])
    return found


def _bound(node: ast.FunctionDef, call: ast.Call, scope: Scope) -> dict[str, ast.expr]:
    names = [item.arg for item in node.args.args]
    defaults = dict(zip(names[::-1], node.args.defaults[::-1], strict=False))
    found: dict[str, ast.expr] = {**defaults}
    found.update({n: fold(a, scope) for n, a in zip(names, call.args, strict=False)})
    found.update({k.arg or "**": fold(k.value, scope) for k in call.keywords})
    return found


def substituted(body: Statement, arguments: Mapping[str, ast.expr]) -> ast.expr | None:
    """The one returned expression with the arguments in it, if none is computed twice."""
    left = [s for s in body.body if real([s])]
    if len(left) != 1 or not isinstance(left[0].node, ast.Return) or left[0].node.value is None:
        return None
    value = left[0].node.value
    reads = list(names_read(value))
    for name, argument in arguments.items():
        simple = isinstance(argument, ast.Name | ast.Constant) or is_self(argument)
        if not simple and reads.count(name) != 1:
            return None

    def visit(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) and node.id in arguments:
            return arguments[node.id]
        return rebuild(node, visit)

    return visit(value)
