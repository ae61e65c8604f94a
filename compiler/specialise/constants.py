"""Names of the model's constants, put where a class has one of them folded in."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mmspec.compiler.specialise.classes import Class
from mmspec.compiler.specialise.evaluate import NotStatic, evaluate, literal
from mmspec.compiler.specialise.nodes import is_self, rebuild
from mmspec.compiler.specialise.origin import atoms, substituted_atoms

_WRITTEN = (
    *(ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Tuple),
    *(ast.operator, ast.unaryop, ast.expr_context),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """Constants as they are known where one is folded in: `self.x` for attributes.

    origins: what attributes stood for; owner: the prefix of the class that asks.
    """

    values: Mapping[str, object]
    origins: Mapping[str, ast.expr] = field(default_factory=dict)
    owner: str = ""

    @classmethod
    def of(cls, item: Class) -> Bound:
        """Those of a class."""
        own = {f"self.{name}": value for name, value in item.statics.items()}
        return cls({**item.bound, **own}, item.origins, item.owner)

    def value(self, node: ast.expr) -> object:
        """The value of an expression of them. Raises NotStatic."""

        def visit(inner: ast.expr) -> ast.expr:
            if isinstance(inner, ast.Attribute) and is_self(inner):
                return ast.Name(f"self.{inner.attr}", ast.Load())
            return rebuild(inner, visit)

        return evaluate(visit(node), self.values)

    def field(self, atom: ast.expr) -> tuple[object, str]:
        """The record that an atom is a field of (None: of no record), and its name: `sizes[0]`."""
        while isinstance(atom, ast.Attribute) and is_self(atom) and atom.attr in self.origins:
            atom = self.origins[atom.attr]
        base = atom.value if isinstance(atom, ast.Subscript) else atom
        if not isinstance(base, ast.Attribute):
            return None, ast.unparse(atom)
        name = ast.unparse(atom).removeprefix(f"{ast.unparse(base.value)}.")
        return (None if is_self(base) else self.value(base.value)), name


class Naming(Protocol):
    """Says what a constant is called."""

    def __call__(self, record: object, field: str, value: int, owner: str) -> str | None:
        """The name of a record's field with a value (None: of no record), where `owner` asks."""
        ...


@dataclass(frozen=True, slots=True)
class Constants:
    """What constants are called; values: of each name; products: two names -> what they make."""

    name: Naming | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    products: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def put(self, node: ast.expr, origin: ast.expr | None, known: Bound) -> ast.expr:
        """A folded number, or a tuple of them, by the names of what it stood for; else itself."""
        if origin is None or self.name is None:
            return node
        try:
            found = {ast.dump(atom): self._named(atom, known) for atom in atoms(origin)}
            new = self._shorter(simple(substituted_atoms(origin, found)))
            same = evaluate(new, self.values) == evaluate(node, {})
        except NotStatic:
            return node
        names = any(isinstance(one, ast.Name) and one.id in self.values for one in ast.walk(new))
        written = (*_WRITTEN, ast.Call, ast.Attribute) if isinstance(node, ast.Call) else _WRITTEN
        plain = all(isinstance(each, written) for each in ast.walk(new))
        return new if names and same and plain else node

    def _named(self, atom: ast.expr, known: Bound) -> ast.expr:
        """The name of a constant, or what it is where it has none."""
        value = known.value(atom)
        name = None
        if self.name is not None and type(value) is int:
            name = self.name(*known.field(atom), value, known.owner)
        return ast.Name(name, ast.Load()) if name else literal(value)

    def _shorter(self, node: ast.expr) -> ast.expr:
        """With the name of a product in the place of two."""
        node = rebuild(node, self._shorter)
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
            return node
        *rest, left, right = _factors(node)
        if isinstance(left, ast.Name) and isinstance(right, ast.Name):
            name = self.products.get((left.id, right.id))
            if name:
                return _product([*rest, ast.Name(name, ast.Load())])
        return node


def simple(node: ast.expr) -> ast.expr:
    """`n * x` for `x + m * x`, `x` for `1 * x` and `x + 0`."""
    new = rebuild(node, simple)
    if isinstance(new, ast.BinOp) and isinstance(new.op, ast.Mult) and _is(new.left, 1):
        return new.right
    none = {"Mult": 1, "Add": 0}.get(type(new.op).__name__) if isinstance(new, ast.BinOp) else None
    if isinstance(new, ast.BinOp) and none is not None and _is(new.right, none):
        return new.left
    if isinstance(new, ast.BinOp) and isinstance(new.op, ast.Add):
        times = new.right
        if isinstance(times, ast.BinOp) and isinstance(times.op, ast.Mult):
            count = times.left.value if isinstance(times.left, ast.Constant) else None
            if type(count) is int and ast.dump(times.right) == ast.dump(new.left):
                return ast.BinOp(ast.Constant(count + 1), ast.Mult(), new.left)
    return new


def _is(node: ast.expr, number: int) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value == number


def _factors(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield node


def _product(factors: list[ast.expr]) -> ast.expr:
    found = factors[0]
    for factor in factors[1:]:
        found = ast.BinOp(found, ast.Mult(), factor)
    return found
