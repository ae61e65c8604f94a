"""Classes of one part that differ in constants only become one that takes these as parameters.

Two classes are of one family where they read alike once every constant that came from their
constructor's parameters is written as what it stood for. A constant with one value in all of them
stays folded in; of the others, each field that they came from becomes a parameter.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmspec.compiler.specialise.classes import Class, plain_text, settled
from mmspec.compiler.specialise.constants import Bound, Constants
from mmspec.compiler.specialise.evaluate import NotStatic, evaluate, literal
from mmspec.compiler.specialise.nodes import rebuild
from mmspec.compiler.specialise.origin import Nested, atoms, origin_of, stamped
from mmspec.compiler.specialise.parameters import Parameters, annotation
from mmspec.compiler.specialise.source import Statement, walk
from mmspec.compiler.specialise.trim import kept_in, map_statements
from mmspec.compiler.specialise.unparse import Printer
from mmspec.compiler.specialise.wrapping import render

Visit = Callable[[ast.expr, ast.expr | None, str], ast.expr]
"""What becomes of a constant, given what it stood for and the parameter that it is given for."""


@dataclass(frozen=True, slots=True)
class Family:
    """Classes that are one in the package; `id` stands for it in the sources of others.

    parameters: names of its constructor's parameters, and what each is in terms of the part's own;
    values: what each class gives for them; held: attributes that hold nested parts, and the
    families of these.
    """

    id: str
    part: str
    classes: tuple[Class, ...]
    members: tuple[Statement, ...]
    parameters: Mapping[str, ast.expr]
    values: Mapping[str, tuple[Any, ...]]
    held: tuple[tuple[str, str], ...]
    constants: Constants

    @property
    def owner(self) -> str:
        """The stream that it is first used by."""
        return self.classes[0].owner

    def given(self, item: Class, printer: Printer) -> str:
        """The arguments that make one of its classes."""
        pairs = zip(self.parameters.items(), self.values[item.id], strict=True)
        put, known = self.constants.put, Bound.of(item)
        given = ((name, put(literal(value), field, known)) for (name, field), value in pairs)
        return ", ".join(f"{name}={printer.flat(value)}" for name, value in given)


def families(classes: Sequence[Class], constants: Constants) -> list[Family]:
    """The families of classes that stand after those they hold; families stand so too."""
    kinds: dict[str, list[Class]] = {}
    leaders: dict[str, str] = {}
    for item in classes:
        alike = kinds.setdefault(_shape(item, leaders), [])
        alike.append(item)
        leaders[item.id] = alike[0].id
    made: dict[str, Family] = {}
    found: list[Family] = []
    for alike in kinds.values():
        found.append(_Merge(alike, made, constants).family())
        made.update((item.id, found[-1]) for item in alike)
    return found


def _shape(item: Class, leaders: Mapping[str, str]) -> str:
    """The text of a class with each constant written as what it stood for."""

    def visit(node: ast.expr) -> ast.expr:
        origin = origin_of(node)
        if origin is not None:
            return ast.Name(f"<{ast.unparse(origin)}>", ast.Load())
        if isinstance(node, Nested) and isinstance(node.func, ast.Name):
            given = (f"{name}={ast.unparse(value)}" for name, value in node.given)
            return ast.Name(f"{leaders[node.func.id]}({', '.join(given)})", ast.Load())
        if isinstance(node, ast.Name) and node.id in leaders:
            return ast.Name(leaders[node.id], ast.Load())
        return rebuild(node, visit)

    members = [map_statements(each, lambda node: rebuild(node, visit)) for each in item.members]
    return f"{item.part}\n" + "\n".join(render(members, 4, Printer()))


@dataclass(frozen=True)
class _Merge:
    """Makes one family; `made`: families of the classes that these hold."""

    classes: Sequence[Class]
    made: Mapping[str, Family]
    constants: Constants

    def family(self) -> Family:
        """The classes as one."""
        first = self.classes[0]
        columns = self._columns()
        places = iter(range(len(columns)))
        known = Parameters(self.classes, _names(first.members), self.constants)
        method = ""

        def put(node: ast.expr, origin: ast.expr | None, name: str) -> ast.expr:
            values = columns[next(places)]
            if len(set(values)) == 1:
                return self.constants.put(node, origin, Bound.of(first))
            text = f"{first.part}: {ast.unparse(node)} does not come from constants"
            assert origin is not None and known.literals(origin) == values, text
            return known.expression(origin, method == "__init__", name)

        members: list[Statement] = []
        for member in first.members:
            method = member.node.name if isinstance(member.node, ast.FunctionDef) else ""
            members.append(self._mapped(member, put))
        known.sort()
        left = settled(_constructed(members, known), known.text if known.names else _text(first))
        values = {item.id: known.values(item) for item in self.classes}
        held = tuple(_held(first, self.made))
        return Family(
            first.id,
            first.part,
            tuple(self.classes),
            left,
            known.given(),
            values,
            held,
            self.constants,
        )

    def _columns(self) -> list[tuple[str, ...]]:
        """The constants, in order, each as the classes have it."""
        found: list[list[str]] = []
        for item in self.classes:
            seen: list[str] = []

            def note(
                node: ast.expr, origin: ast.expr | None, name: str, seen: list[str] = seen
            ) -> ast.expr:
                seen.append(_constant(node))
                return node

            for member in item.members:
                self._mapped(member, note)
            found.append(seen)
        return list(zip(*found, strict=True))

    def _mapped(self, member: Statement, put: Visit) -> Statement:
        """A member with its constants visited, and calls of nested parts as they are printed."""

        def visit(node: ast.expr) -> ast.expr:
            origin = origin_of(node)
            if origin is not None:
                return put(node, origin, "")
            if isinstance(node, Nested) and isinstance(node.func, ast.Name):
                return self._call(node.func.id, dict(node.given), put)
            if isinstance(node, ast.Name) and node.id in self.made:
                return ast.Name(self.made[node.id].id, ast.Load())
            return rebuild(node, visit)

        return map_statements(member, lambda node: rebuild(node, visit))

    def _call(self, child: str, given: Mapping[str, ast.expr], put: Visit) -> ast.Call:
        """The call of a nested part with what its family takes."""
        family = self.made[child]
        found: dict[str, ast.expr] = {}
        pairs = zip(family.parameters.items(), family.values[child], strict=True)
        for (name, field), value in pairs:
            origin = _within(field, given)
            found[name] = put(stamped(literal(value), origin), origin, name)
        func = ast.Name(family.id, ast.Load())
        if all(isinstance(value, ast.Name) and value.id == name for name, value in found.items()):
            return ast.Call(func, list(found.values()), [])
        return ast.Call(func, [], [ast.keyword(name, value) for name, value in found.items()])


def _constant(node: ast.expr) -> str:
    """The value of a constant as text, whether a literal or what reads better."""
    try:
        return repr(evaluate(node, {}))
    except NotStatic:
        return ast.dump(node)


def _within(field: ast.expr, given: Mapping[str, ast.expr]) -> ast.expr | None:
    """What a nested part's parameter is in terms of those of the class that holds it."""

    def visit(node: ast.expr) -> ast.expr:
        return given[node.id] if isinstance(node, ast.Name) else rebuild(node, visit)

    names = {item.id for item in ast.walk(field) if isinstance(item, ast.Name)}
    found = visit(field) if names <= given.keys() else None
    return found if found is not None and any(atoms(found)) else None


def _held(item: Class, made: Mapping[str, Family]) -> Iterator[tuple[str, str]]:
    for statement in walk(item.members):
        value, target = kept_in(statement.node)
        for node in ast.walk(value) if value is not None and target is not None else ():
            if isinstance(node, Nested) and isinstance(node.func, ast.Name):
                yield target or "", made[node.func.id].id


def _text(item: Class) -> Callable[[str], object]:
    return plain_text(item.values())


def _names(members: Sequence[Statement]) -> set[str]:
    """Names of the constructor, which no parameter may take."""
    return {
        node.id
        for member in members
        if isinstance(member.node, ast.FunctionDef) and member.node.name == "__init__"
        for statement in walk([member])
        for part in statement.header()
        for node in ast.walk(part)
        if isinstance(node, ast.Name)
    }


def _constructed(members: Sequence[Statement], known: Parameters) -> tuple[Statement, ...]:
    """Members whose constructor takes the parameters and keeps what methods read."""
    if not known.names:
        return tuple(members)
    keep = tuple(
        Statement(
            ast.Assign([ast.Attribute(ast.Name("self", ast.Load()), name, ast.Store())], value)
        )
        for name, value in known.kept_in_order()
    )
    own = [ast.arg(name, annotation(values)) for name, values in known.annotated()]
    taken = ast.arguments([], [ast.arg("self"), *own], None, [], [], None, [])
    base = Statement(ast.parse("super().__init__()").body[0])
    node = ast.FunctionDef("__init__", taken, [], [], ast.Constant(None))
    inits = [m for m in members if getattr(m.node, "name", "") == "__init__"]
    body = inits[0].body if inits else (base,)
    at = next(i for i, s in enumerate(body) if s.node is base.node or _is_super(s)) + 1
    init = Statement(node, gap=True, body=(*body[:at], *keep, *body[at:]))
    init = replace(init, gap=inits[0].gap) if inits else init
    rest = [m for m in members if m not in inits]
    place = next(i for i, m in enumerate(rest) if isinstance(m.node, ast.FunctionDef))
    return (*rest[:place], init, *rest[place:])


def _is_super(statement: Statement) -> bool:
    return ast.unparse(statement.node) == "super().__init__()"
