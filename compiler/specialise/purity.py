"""Which expressions only compute, so that nobody misses them when their value is not read."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from mmspec.compiler.specialise.nodes import descend, is_self
from mmspec.compiler.specialise.source import Statement, walk

_MUTATORS = frozenset(
    "append extend insert pop remove clear update setdefault backward manual_seed register_buffer"
    " register_parameter add_module register_forward_hook".split()
)
BUILTINS = frozenset(
    "len range min max abs sum int float bool str tuple list dict set zip enumerate reversed sorted"
    " isinstance getattr any all round".split()
)


@dataclass(frozen=True, slots=True)
class Signature:
    """A method: its parameters before and after, and whether calling it only computes.

    loose: whether it was given more by name than it reads.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    pure: bool
    loose: bool = False

    @property
    def dropped(self) -> frozenset[str]:
        """Parameters that are gone."""
        return frozenset(self.before) - frozenset(self.after)


Signatures = Mapping[str, Signature]


@dataclass(frozen=True)
class Purity:
    """Knows what the calls in the methods of one class do.

    children: signatures of the nested part behind each attribute; functions: names whose call only
    computes; layers: attributes holding torch's own pure layers.
    """

    methods: Mapping[str, Statement]
    children: Mapping[str, Signatures]
    functions: frozenset[str]
    layers: frozenset[str]

    def removable(self, statement: Statement) -> set[str]:
        """The names that a pure assignment to plain names stores."""
        node = statement.node
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            return set()
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [part for t in targets for part in (t.elts if isinstance(t, ast.Tuple) else [t])]
        if not all(isinstance(name, ast.Name) for name in names):
            return set()
        if node.value is not None and not self.pure(node.value):
            return set()
        return {name.id for name in names if isinstance(name, ast.Name)}

    def is_pure(self, name: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether calling an own method only computes a value."""
        if name in seen or name not in self.methods:
            return False
        inner = seen | {name}
        for statement in walk(self.methods[name].body):
            node = statement.node
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if isinstance(node, ast.Expr | ast.AugAssign | ast.Raise) and not text:
                return False
            if isinstance(node, ast.Assign) and not self.removable(statement):
                return False
            if not all(self.pure(e, inner) for e in statement.header() if isinstance(e, ast.expr)):
                return False
        return True

    def pure(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> bool:
        """Whether evaluating an expression does nothing else."""
        return all(
            self._pure_call(item, seen)
            for item in descend(node)
            if isinstance(item, ast.Call | ast.NamedExpr | ast.Await | ast.Yield)
        )

    def _pure_call(self, node: ast.AST, seen: frozenset[str]) -> bool:
        if not isinstance(node, ast.Call):
            return False
        func = node.func
        if isinstance(func, ast.Name):
            return func.id in BUILTINS or func.id in self.functions
        if not isinstance(func, ast.Attribute):
            return False
        if is_self(func):
            child = self.children.get(func.attr)
            if child is not None:
                return "forward" in child and child["forward"].pure
            return func.attr in self.layers or self.is_pure(func.attr, seen)
        if isinstance(func.value, ast.Attribute) and func.value.attr in self.children:
            found = self.children[func.value.attr].get(func.attr)
            return found is not None and found.pure
        return func.attr not in _MUTATORS and not func.attr.endswith("_")
