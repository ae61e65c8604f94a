"""Makes one class from one part and its constants: fold, shrink, put together."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mmspec.compiler.specialise.classes import Class, Specialised, plain_text, settled
from mmspec.compiler.specialise.evaluate import NotStatic, dotted
from mmspec.compiler.specialise.fold import Scope, fold
from mmspec.compiler.specialise.inline import Inliner
from mmspec.compiler.specialise.joining import join
from mmspec.compiler.specialise.liveness import Body
from mmspec.compiler.specialise.nodes import descend, own_attribute, rebuild, with_fields
from mmspec.compiler.specialise.origin import nested, symbolic
from mmspec.compiler.specialise.partial import Folder, without_none
from mmspec.compiler.specialise.purity import Purity, Signature
from mmspec.compiler.specialise.source import Library, Statement, names_bound, walk
from mmspec.compiler.specialise.trim import expressions, kept_in, map_statements
from mmspec.compiler.specialise.unparse import Printer
from mmspec.compiler.specialise.wrapping import render

_NOISY_LAYERS = ("nn.Dropout", "nn.BatchNorm", "nn.Module", "nn.Parameter")


class Workshop(Protocol):
    """What a maker shares with the makers of other classes."""

    library: Library
    constants: Mapping[str, object]
    inliner: Inliner
    classes: dict[str, Class]

    def specialise(
        self, part: str, constants: Mapping[str, object], owner: str, keep: frozenset[str] = ...
    ) -> Class:
        """The class of a part with its constants."""
        ...


@dataclass
class Maker:
    """Makes one class from one part and its constants."""

    host: Workshop
    part: str
    owner: str
    bound: Mapping[str, object]
    keep: frozenset[str]
    children: dict[str, list[Class]] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    origins: dict[str, ast.expr] = field(default_factory=dict)

    def make(self) -> Class:
        """Fold, shrink, put together."""
        members = self.host.library.parts[self.part].members
        scope = self._scope()
        methods = self._fold(members, scope)
        methods = {n: _without_declarations(m, scope.present) for n, m in methods.items()}
        self._find_children(methods)
        methods = {n: self._agree(m) for n, m in methods.items()}
        self._find_children(methods)
        body = self._body(methods)
        signatures = body.shrink()
        _drop_empty_init(body.methods)
        body.methods.update({name: join(method) for name, method in body.methods.items()})
        left = self._members(members, body.methods, scope)
        return self._result(left, signatures, scope)

    def _scope(self) -> Scope:
        return Scope(
            names=dict(self.bound),
            attributes={},
            present=set(),
            module=self.host.constants,
            parts=self.host.library.parts,
            call=self._call,
            child=self._child,
            origins={name: ast.Name(name, ast.Load()) for name in self.bound},
        )

    def _fold(self, members: Sequence[Statement], scope: Scope) -> dict[str, Statement]:
        methods = {s.node.name: s for s in members if isinstance(s.node, ast.FunctionDef)}
        outside = {
            node.attr
            for name, method in methods.items()
            if name != "__init__"
            for node in expressions(method)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        if "__init__" in methods:
            folder = Folder(scope, True, frozenset(self.bound), frozenset(outside))
            init = methods["__init__"]
            methods["__init__"] = replace(_bare(init), body=folder.block(init.body))
            self._find_children(methods)
        self.origins = {
            name: scope.origins[f"self.{name}"]
            for name in scope.attributes
            if f"self.{name}" in scope.origins
        }
        for name, method in methods.items():
            if name != "__init__":
                scope.names.clear()
                scope.origins.clear()
                scope.origins.update(
                    (f"self.{each}", own_attribute(each, ast.Load())) for each in scope.attributes
                )
                self.local = names_bound(method)
                methods[name] = replace(method, body=Folder(scope).block(method.body))
        return methods

    def _call(self, node: ast.Call, scope: Scope) -> ast.expr | None:
        """A nested part as its own class, or a helper that its constants decide."""
        name = dotted(node.func)
        if name in self.host.library.parts:
            given = self._arguments(name, node, scope)
            constants = {each: scope.value(value) for each, value in given.items()}
            found = self.host.specialise(name, constants, self.owner)
            return nested(found.id, tuple((k, symbolic(value)) for k, value in given.items()))
        return None if name in self.local else self.host.inliner.call(node, scope)

    def _arguments(self, part: str, node: ast.Call, scope: Scope) -> dict[str, ast.expr]:
        init = self.host.library.parts[part].init
        names = [item.arg for item in init.args.args][1:] if init else []
        pairs = [*zip(names, node.args, strict=False)]
        pairs += [(item.arg or "**", item.value) for item in node.keywords]
        found: dict[str, ast.expr] = {}
        for name, value in pairs:
            found[name] = fold(value, scope)
            try:
                scope.value(found[name])
            except NotStatic as error:
                text = f"{self.part}: {part}({name}={ast.unparse(value)}) is not a constant"
                raise AssertionError(f"{text}: {error}") from None
        return found

    def _child(self, attribute: str, name: str) -> object:
        values = [child.statics.get(name) for child in self.children.get(attribute, ())]
        return values[0] if values and all(value == values[0] for value in values) else None

    def _find_children(self, methods: Mapping[str, Statement]) -> None:
        """The nested parts behind each attribute, read off the folded constructor."""
        self.children.clear()
        if "__init__" not in methods:
            return
        for statement in walk([methods["__init__"]]):
            node = statement.node
            value, target = kept_in(node)
            if value is None or target is None:
                continue
            ids = [item.id for item in descend(value) if isinstance(item, ast.Name)]
            found = [self.host.classes[i] for i in ids if i in self.host.classes]
            if found:
                self.children.setdefault(target, []).extend(found)

    def _agree(self, method: Statement) -> Statement:
        """Nested parts that share an attribute are called alike: they keep the same parameters."""
        renamed: dict[str, str] = {}
        for group in self.children.values():
            keep = {p for child in group for s in child.signatures.values() for p in s.after}
            for child in group:
                lacking = {p for s in child.signatures.values() for p in s.dropped} & keep
                if len({c.id for c in group}) > 1 and lacking:
                    again = self.host.specialise(
                        child.part, child.bound, self.owner, child.keep | lacking
                    )
                    renamed[child.id] = again.id
        return _renamed(method, renamed)

    def _body(self, methods: dict[str, Statement]) -> Body:
        layers: set[str] = set()
        for statement in walk(methods["__init__"].body if "__init__" in methods else ()):
            value, target = kept_in(statement.node)
            name = dotted(value.func) if isinstance(value, ast.Call) else ""
            if target and name.startswith("nn.") and not name.startswith(_NOISY_LAYERS):
                layers.add(target)
        functions = frozenset(self.host.library.helpers) | self.host.inliner.ids
        signatures = {name: group[0].signatures for name, group in self.children.items()}
        purity = Purity(methods, signatures, functions, frozenset(layers))
        return Body(methods, purity, self.keep)

    def _members(
        self, members: Sequence[Statement], methods: Mapping[str, Statement], scope: Scope
    ) -> tuple[Statement, ...]:
        stored = {
            node.attr
            for method in methods.values()
            for node in expressions(method)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        texts = {
            node.value
            for method in methods.values()
            for node in expressions(method)
            if isinstance(node, ast.Constant)
        }
        out: list[Statement] = []
        for member in members:
            node = member.node
            if isinstance(node, ast.FunctionDef):
                out += [methods[node.name]] if node.name in methods else []
            elif isinstance(node, ast.AnnAssign) and node.value is None:
                name = dotted(node.target)
                optional = without_none(node.annotation) is not node.annotation
                if (name in stored or name in texts) and not (optional and name in scope.present):
                    out.append(member)
            else:
                out.append(member)
        return tuple(self._with_classes(member) for member in out)

    def _with_classes(self, member: Statement) -> Statement:
        """Names of parts outside calls (annotations) stand for the one class used here."""
        found = {n.id for n in expressions(member) if isinstance(n, ast.Name)}
        known = found & self.host.library.parts.keys()
        renamed: dict[str, str] = {}
        for name in known:
            ids = {c.id for group in self.children.values() for c in group if c.part == name}
            assert len(ids) == 1, f"{self.part}: `{name}` stands for {len(ids)} classes"
            renamed[name] = ids.pop()
        return _renamed(member, renamed)

    def _result(
        self,
        members: tuple[Statement, ...],
        signatures: Mapping[str, Signature],
        scope: Scope,
    ) -> Class:
        forward = signatures.get("forward", Signature((), (), True))
        returns = next(
            (
                m.node.returns
                for m in members
                if isinstance(m.node, ast.FunctionDef) and m.node.name == "forward"
            ),
            None,
        )
        printer, statics = Printer(), _plain_values(scope)
        text = plain_text({**self.bound, **statics})
        handle = Specialised(
            forward=forward.after,
            dropped=forward.dropped,
            returns=printer.flat(returns) if returns else "",
            methods={name: s.after for name, s in signatures.items() if name != "__init__"},
        )
        return Class(
            id=f"{self.part}#{len(self.host.classes)}",
            part=self.part,
            owner=self.owner,
            bound=self.bound,
            keep=self.keep,
            members=members,
            signatures=signatures,
            statics=statics,
            origins=self.origins,
            source="\n".join(render(settled(members, text), 4, printer)),
            handle=handle,
        )


def _plain_values(scope: Scope) -> dict[str, object]:
    """Static attributes as values."""
    return {
        name: scope.value(value) if isinstance(value, ast.expr) else value
        for name, value in scope.attributes.items()
    }


def _bare(init: Statement) -> Statement:
    """The constructor without parameters."""
    assert isinstance(init.node, ast.FunctionDef)
    args = init.node.args
    if len(args.args) + len(args.kwonlyargs) == 1:
        return init
    new = ast.arguments([], args.args[:1], None, [], [], None, [])
    return init.changed(with_fields(init.node, {"args": new}))


def _drop_empty_init(methods: dict[str, Statement]) -> None:
    """A constructor that only calls its parent's says nothing."""
    init = methods.get("__init__")
    if init is not None and all(s.lines == ("super().__init__()",) for s in init.body):
        del methods["__init__"]


def _renamed(statement: Statement, names: Mapping[str, str]) -> Statement:
    def visit(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) and node.id in names:
            return ast.Name(names[node.id], ast.Load())
        return rebuild(node, visit)

    return map_statements(statement, lambda node: rebuild(node, visit)) if names else statement


def _without_declarations(method: Statement, present: set[str]) -> Statement:
    """A method without `self.x: T` where the one assignment left says what it is."""
    kept = tuple(
        item
        for item in method.body
        if not (
            isinstance(item.node, ast.AnnAssign)
            and item.node.value is None
            and isinstance(item.node.target, ast.Attribute)
            and item.node.target.attr in present
        )
    )
    return method if len(kept) == len(method.body) else replace(method, body=kept)
