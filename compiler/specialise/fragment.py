"""Puts specialised classes together: names, order, the helpers and imports that they use."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmspec.compiler.specialise.classes import Class
from mmspec.compiler.specialise.constants import Constants
from mmspec.compiler.specialise.families import families
from mmspec.compiler.specialise.imports import import_block
from mmspec.compiler.specialise.inline import Inliner, Variant
from mmspec.compiler.specialise.joining import unlooped
from mmspec.compiler.specialise.liveness import ENTRIES
from mmspec.compiler.specialise.naming import named
from mmspec.compiler.specialise.nodes import unused, with_fields
from mmspec.compiler.specialise.source import Library, Statement, names_used
from mmspec.compiler.specialise.trim import attributes
from mmspec.compiler.specialise.unparse import Printer
from mmspec.compiler.specialise.wrapping import render, render_statement


@dataclass(frozen=True, slots=True)
class EmittedClass:
    """A class as text, and the part that it comes from."""

    name: str
    part: str
    source: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """All that a set of requests needs, each in an order that Python can run."""

    classes: tuple[EmittedClass, ...]
    functions: tuple[str, ...]
    imports: frozenset[str]

    def source(self) -> str:
        """A module of it all."""
        blocks = [*self.functions, *(item.source for item in self.classes)]
        return import_block(self.imports) + "\n\n\n" + "\n\n\n".join(blocks) + "\n"


@dataclass
class _Assembly:
    library: Library
    inliner: Inliner
    names: dict[str, str]
    taken: set[str]
    functions: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)

    def use(self, reads: Iterable[str]) -> None:
        """Bring in helpers and imports by name, what they need before them."""
        for name in reads:
            if name in self.seen:
                continue
            self.seen.add(name)
            if name in self.library.imports:
                line = self.library.imports[name]
                self.imports.add(line)
            elif name in self.inliner.variants:
                self._variant(self.inliner.variants[name])
            elif name in self.library.helpers:
                helper = self.library.helpers[name]
                self.use(names_used(helper.statement))
                self.functions.append(helper.source)
                for follower in helper.followers:
                    self.use(names_used(follower.statement))
                    self.functions.append(follower.source)
            assert name not in self.library.parts, f"a helper names the part {name}"

    def _variant(self, variant: Variant) -> None:
        self.use(names_used(variant.statement))
        final = unused(variant.helper, self.taken)
        self.taken.add(final)
        self.names[variant.id] = final
        node = variant.statement.node
        assert isinstance(node, ast.FunctionDef)
        statement = variant.statement
        if final != variant.helper:
            statement = statement.changed(with_fields(node, {"name": final}))
        self.functions.append("\n".join(render_statement(statement, 0, Printer(self.names))))


def assemble(
    wanted: Sequence[Class],
    classes: Mapping[str, Class],
    library: Library,
    inliner: Inliner,
    reserved: frozenset[str],
    uses: set[str],
    constants: Constants,
) -> Fragment:
    """Names, texts, helpers and imports of the wanted classes and all that they hold."""
    reached = _without_idle_methods(list(_reachable(wanted, classes)), uses)
    merged = families(reached, constants)
    reads = [name for item in merged for s in item.members for name in names_used(s)]
    taken = {*reserved, *library.imports, *library.helpers}
    names = named(merged, taken)
    assembly = _Assembly(library, inliner, names, set(names.values()) | set(reserved))
    plain = [name for name in reads if name in library.helpers]
    assembly.taken |= set(plain)
    assembly.use([name for name in sorted(uses) if name in library.helpers])
    assembly.use(reads)
    assembly.use(["nn"] if reached else [])
    printer = Printer(names)
    emitted = []
    for item in merged:
        for each in item.classes:
            classes[each.id].handle.name = names[item.id]
            classes[each.id].handle.arguments = item.given(each, printer)
        header = f"class {names[item.id]}(nn.Module):"
        body = render([unlooped(member) for member in item.members], 4, printer) or ["    pass"]
        emitted.append(EmittedClass(names[item.id], item.part, "\n".join([header, *body])))
    return Fragment(tuple(emitted), tuple(assembly.functions), frozenset(assembly.imports))


def _reachable(wanted: Iterable[Class], classes: Mapping[str, Class]) -> Iterator[Class]:
    """Wanted classes and what they hold, children first."""
    seen: set[str] = set()

    def visit(item: Class) -> Iterator[Class]:
        if item.id in seen:
            return
        seen.add(item.id)
        for member in item.members:
            for name in names_used(member):
                if name in classes:
                    yield from visit(classes[name])
        yield item

    for item in wanted:
        yield from visit(item)


def _without_idle_methods(classes: Sequence[Class], uses: set[str]) -> list[Class]:
    """Classes without the methods that nothing in the package calls."""
    while True:
        called = set(uses)
        for item in classes:
            for member in item.members:
                own = member.node.name if isinstance(member.node, ast.FunctionDef) else ""
                called |= attributes(member) - {own}
        left = [
            replace(item, members=tuple(m for m in item.members if _stays(m, called)))
            for item in classes
        ]
        if all(len(a.members) == len(b.members) for a, b in zip(left, classes, strict=True)):
            return left
        classes = left


def _stays(member: Statement, called: set[str]) -> bool:
    if not isinstance(member.node, ast.FunctionDef):
        return True
    name = member.node.name
    return name in ENTRIES or name in called or name.startswith("__")
