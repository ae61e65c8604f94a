"""Folds the statements of a part: branches not taken disappear, loops over constants unroll."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmspec.compiler.specialise.evaluate import NotStatic, dotted
from mmspec.compiler.specialise.fold import Scope, fold, fold_test, static_rounds
from mmspec.compiler.specialise.nodes import descend, identifier, is_self, rebuild, with_fields
from mmspec.compiler.specialise.origin import known_origin
from mmspec.compiler.specialise.source import Statement, walk
from mmspec.compiler.specialise.trim import Gaps, real

_PRESENT = (ast.Call, ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.BinOp)
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass
class Folder:
    """Folds one method; `init` marks the constructor, the only place that sets constants.

    `dynamic` counts the enclosing statements that may run any number of times.
    """

    scope: Scope
    init: bool = False
    parameters: frozenset[str] = field(default_factory=frozenset)
    outside: frozenset[str] = field(default_factory=frozenset)
    dynamic: int = 0

    def block(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        """The statements that are left of a block."""
        out: list[Statement] = []
        gaps = Gaps()
        for statement in statements:
            left = self.statement(statement)
            gap = gaps.after(statement.gap, bool(left), real(out))
            if left:
                out += [replace(left[0], gap=gap), *left[1:]]
            if out and leaves(out[-1]):
                break
        return tuple(out)

    def statement(self, statement: Statement) -> tuple[Statement, ...]:
        """What is left of one statement."""
        node = statement.node
        match node:
            case ast.If():
                return self._if(statement, node)
            case ast.For():
                return self._for(statement, node)
            case ast.While():
                self._forget(statement)
                changed = statement.changed(rebuild_header(node, self.scope))
                return (self._inner(changed),)
            case ast.With():
                changed = statement.changed(rebuild_header(node, self.scope))
                return (replace(changed, body=self.block(statement.body)),)
            case ast.Assert():
                return self._assert(statement, node)
            case ast.AugAssign():
                return self._augment(statement, node)
            case ast.Expr(value=ast.Call() as call):
                return self._call(statement, node, call)
            case ast.Assign() | ast.AnnAssign():
                return self._assign(statement, node)
            case ast.FunctionDef() | ast.ClassDef():
                raise AssertionError(f"`{node.name}`: no definition inside a method of a part")
            case ast.Raise() if self.init and not self.dynamic:
                raise AssertionError(ast.unparse(node))
        changed = statement.changed(rebuild_header(node, self.scope))
        return (changed,)

    def _if(self, statement: Statement, node: ast.If) -> tuple[Statement, ...]:
        test = fold_test(node.test, self.scope)
        truth = self.scope.truth(test)
        if truth is not None:
            return self.block(statement.body if truth else statement.orelse)
        kept = dict(self.scope.names), dict(self.scope.origins)
        new = statement.changed(node if test is node.test else with_fields(node, {"test": test}))
        new = replace(new, body=self._branch(statement.body, kept))
        new = replace(new, orelse=self._branch(statement.orelse, kept))
        self._restore(kept)
        self._forget(statement)
        return (new,)

    def _branch(
        self,
        block: Sequence[Statement],
        kept: tuple[Mapping[str, object], Mapping[str, ast.expr]],
    ) -> tuple[Statement, ...]:
        self._restore(kept)
        self.dynamic += 1
        out = self.block(block)
        self.dynamic -= 1
        return out

    def _restore(self, kept: tuple[Mapping[str, object], Mapping[str, ast.expr]]) -> None:
        self.scope.names.clear()
        self.scope.names.update(kept[0])
        self.scope.origins.clear()
        self.scope.origins.update(kept[1])

    def _for(self, statement: Statement, node: ast.For) -> tuple[Statement, ...]:
        loop = ast.comprehension(node.target, node.iter, [], 0)
        rounds = static_rounds(loop, ast.Module(node.body, []), self.scope)
        if rounds is None:
            self._forget(statement)
            return (self._inner(statement.changed(rebuild_header(node, self.scope))),)
        stops = [s for s in walk(statement.body) if isinstance(s.node, ast.Break | ast.Continue)]
        assert not stops, "no break or continue in a loop that is written out"
        out: list[Statement] = []
        for names, origins in rounds:
            self.scope.names.update(names)
            for name in names:
                self.scope.origins.pop(name, None)
            self.scope.origins.update(origins)
            out += [replace(item, repeated=True) for item in self.block(statement.body)]
        if out:
            out[0] = replace(out[0], above=statement.above + out[0].above)
        return tuple(out)

    def _inner(self, statement: Statement) -> Statement:
        self.dynamic += 1
        new = replace(statement, body=self.block(statement.body))
        self.dynamic -= 1
        self._forget(statement)
        return new

    def _forget(self, statement: Statement) -> None:
        """Names that a statement may or may not store have no known value around it."""
        for inner in walk([statement]):
            for name in stored(inner.node):
                assert name not in self.parameters, f"`{name}` is set in a loop or branch"
                self.scope.names.pop(name, None)

    def _assert(self, statement: Statement, node: ast.Assert) -> tuple[Statement, ...]:
        test = fold_test(node.test, self.scope)
        truth = self.scope.truth(test)
        assert truth is not False or self.dynamic, f"a part refuses: {ast.unparse(node.test)}"
        if truth:
            return ()
        changes = {"test": test, "msg": node.msg and fold(node.msg, self.scope)}
        same = changes["test"] is node.test and changes["msg"] is node.msg
        return (statement if same else statement.changed(with_fields(node, changes)),)

    def _augment(self, statement: Statement, node: ast.AugAssign) -> tuple[Statement, ...]:
        value = fold(node.value, self.scope)
        target = node.target
        if isinstance(target, ast.Name) and target.id in self.scope.names:
            now = fold(ast.BinOp(ast.Name(target.id, ast.Load()), node.op, value), self.scope)
            return self._assign(statement, ast.Assign([target], now))
        changes = {} if value is node.value else {"value": value}
        return (statement.changed(with_fields(node, changes) if changes else node),)

    def _call(self, statement: Statement, node: ast.Expr, call: ast.Call) -> tuple[Statement, ...]:
        name = dotted(call.func)
        if name == "setattr":
            owner, key, value = call.args
        elif name == "self.add_module":
            (key, value), owner = call.args, ast.Name("self", ast.Load())
        else:
            new = fold(call, self.scope)
            return (statement.changed(node if new is call else ast.Expr(new)),)
        text = fold(key, self.scope)
        assert isinstance(text, ast.Constant), f"setattr of {ast.unparse(key)}"
        target = ast.Attribute(owner, identifier(text.value), ast.Store())
        return self._assign(replace(statement, lines=()), ast.Assign([target], value))

    def _assign(
        self, statement: Statement, node: ast.Assign | ast.AnnAssign
    ) -> tuple[Statement, ...]:
        if node.value is None:
            return (statement,)
        value = fold(node.value, self.scope)
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        whole = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        named = all(_is_getattr(item) for item in whole)
        static = self._static(value) and (self.init or value is not node.value)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and (static or named):
            pairs = list(zip(target.elts, value.elts, strict=True))
        else:
            pairs = [(target, value)]
        done = [self._alias(to, what, named) or self._bind(to, what, static) for to, what in pairs]
        if all(done):
            return ()
        if isinstance(node, ast.AnnAssign) and (self.init or value is not node.value):
            return (statement.changed(narrowed(node, value)),)
        if value is node.value:
            return (statement.changed(node),)
        return (statement.changed(with_fields(node, {"value": value})),)

    def _alias(self, target: ast.expr, value: ast.expr, named: bool) -> bool:
        """Whether a local stands for an attribute that `getattr` names: it is written instead."""
        if not (named and isinstance(target, ast.Name) and isinstance(value, ast.Attribute)):
            return False
        if not isinstance(value.value, ast.Name):
            return False
        self.scope.names[target.id] = value
        return True

    def _bind(self, target: ast.expr, value: ast.expr, static: bool) -> bool:
        """Record what a target now holds; True if the assignment need not be printed."""
        if isinstance(target, ast.Name):
            self.scope.names.pop(target.id, None)
            self._came_from(target.id, value)
            if static:
                self.scope.names[target.id] = _known(value, self.scope)
            return isinstance(value, ast.Constant) and dataclass_value(value)
        if isinstance(target, ast.Attribute) and is_self(target) and self.init:
            name = target.attr
            self.scope.attributes.pop(name, None)
            self._came_from(f"self.{name}", value)
            if static and not self.dynamic and name not in self.outside:
                self.scope.attributes[name] = _known(value, self.scope)
                return True
            if isinstance(value, _PRESENT):
                self.scope.present.add(name)
        for name in stored(ast.Assign([target], value)):
            self.scope.names.pop(name, None)
        return False

    def _came_from(self, name: str, value: ast.expr) -> None:
        """Record what the constant that a name holds now stands for."""
        self.scope.origins.pop(name, None)
        origin = known_origin(value)
        if origin is not None:
            self.scope.origins[name] = origin

    def _static(self, value: ast.expr) -> bool:
        if isinstance(value, ast.List | ast.ListComp):
            return False
        try:
            found = self.scope.value(value)
        except NotStatic:
            return False
        return not isinstance(found, range | zip | enumerate | list)


def _is_getattr(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func) == "getattr"


def _known(value: ast.expr, scope: Scope) -> object:
    """The value of a static expression, or the expression where that reads better."""
    return value if isinstance(value, ast.BinOp | ast.Call) else scope.value(value)


def dataclass_value(node: ast.Constant) -> bool:
    """Whether a constant is a record of the Plan, which has no text."""
    return hasattr(type(node.value), "__dataclass_fields__")


def narrowed(node: ast.AnnAssign, value: ast.expr) -> ast.stmt:
    """An annotated assignment whose value is known: no `| None`, no annotation that says less."""
    made = dotted(value.func) if isinstance(value, ast.Call) else ""
    if is_self(node.target) and (made.startswith("nn.") or "#" in made):
        return ast.Assign([node.target], value)
    annotation = without_none(node.annotation) if isinstance(value, _PRESENT) else node.annotation
    if annotation is node.annotation and value is node.value:
        return node
    return with_fields(node, {"annotation": annotation, "value": value})


def without_none(node: ast.expr) -> ast.expr:
    """`T` for `T | None`; the same node otherwise."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        if isinstance(node.right, ast.Constant) and node.right.value is None:
            return node.left
    return node


def rebuild_header(node: ast.stmt, scope: Scope) -> ast.stmt:
    """A statement with its own expressions folded; blocks are not looked at."""
    return rebuild(node, lambda item: fold(item, scope))


def leaves(statement: Statement) -> bool:
    """Whether nothing after this statement of a block can run."""
    if isinstance(statement.node, ast.If) and statement.body and statement.orelse:
        return leaves(statement.body[-1]) and leaves(statement.orelse[-1])
    return isinstance(statement.node, _LEAVES)


def stored(node: ast.stmt) -> set[str]:
    """Names that a statement itself stores."""
    targets: list[ast.expr] = []
    match node:
        case ast.Assign():
            targets = node.targets
        case ast.AnnAssign() | ast.AugAssign() | ast.For():
            targets = [node.target]
        case ast.With():
            targets = [item.optional_vars for item in node.items if item.optional_vars]
    names = [item for target in targets for item in descend(target)]
    return {i.id for i in names if isinstance(i, ast.Name) and isinstance(i.ctx, ast.Store)}
