"""Folds the constants of a part into its expressions.

Nodes that nothing changes are returned as they are (identity tells); a node whose leaves became
constants becomes the literal it stands for.
"""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmspec.compiler.specialise.defaults import drop_defaults
from mmspec.compiler.specialise.evaluate import NotStatic, bindings, dotted, evaluate, literal
from mmspec.compiler.specialise.nodes import (
    descend,
    identifier,
    is_self,
    joined,
    rebuild,
    with_fields,
)
from mmspec.compiler.specialise.origin import known_origin, origin_of, stamped

LONGEST_FLOAT = 8

Round = tuple[dict[str, object], dict[str, ast.expr]]
"""Names of a loop with their values, and what those stand for."""


@dataclass
class Scope:
    """What is known while one class is folded.

    names: values of locals; attributes: values of `self.x`; present: attributes known not to be
    None; module: literal constants of the part modules; call: what becomes of a call that the
    specialiser may resolve (a nested part, a helper); child: static attribute of a nested part;
    origins: what names and attributes (`self.x`) that are constants stand for.
    """

    names: dict[str, object]
    attributes: dict[str, object]
    present: set[str]
    module: Mapping[str, object]
    parts: Mapping[str, object]
    call: Callable[[ast.Call, Scope], ast.expr | None]
    child: Callable[[str, str], object]
    hidden: frozenset[str] = field(default_factory=frozenset)
    origins: dict[str, ast.expr] = field(default_factory=dict)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression whose leaves were folded; raises NotStatic."""
        return evaluate(node, self.module)

    def truth(self, node: ast.expr) -> bool | None:
        """Whether a folded test always or never holds."""
        try:
            return bool(self.value(node))
        except NotStatic:
            return None


def fold(node: ast.expr, scope: Scope) -> ast.expr:
    """The expression with every constant in its place."""
    match node:
        case ast.Name(ctx=ast.Load()):
            known = node.id in scope.names and node.id not in scope.hidden
            return _put(scope.names[node.id], node, scope.origins.get(node.id)) if known else node
        case ast.Attribute(ctx=ast.Load()):
            return _attribute(node, scope)
        case ast.BoolOp():
            return _bool(node, scope)
        case ast.IfExp():
            test = fold_test(node.test, scope)
            truth = scope.truth(test)
            if truth is not None:
                return fold(node.body if truth else node.orelse, scope)
        case ast.Compare():
            return _compare(node, scope)
        case ast.Call():
            return _call(node, scope)
        case ast.ListComp() | ast.GeneratorExp() | ast.DictComp() | ast.SetComp():
            return _comprehension(node, scope)
        case ast.Lambda():
            names = frozenset(argument.arg for argument in node.args.args)
            return rebuild(node, lambda item: fold(item, hide(scope, names)))
        case ast.JoinedStr():
            return _text(node, scope)
    return settle(node, rebuild(node, lambda item: fold(item, scope)), scope)


def hide(scope: Scope, names: frozenset[str]) -> Scope:
    """The scope inside a lambda or comprehension that binds some names itself."""
    return replace(scope, hidden=scope.hidden | names)


def settle(old: ast.expr, new: ast.expr, scope: Scope) -> ast.expr:
    """The literal that a changed expression stands for, if it is static and short."""
    if new is old or isinstance(new, ast.Constant):
        return new
    kept = _of_one(new)
    if kept is not None:
        return kept
    try:
        value = scope.value(new)
        long = type(value) is float and len(repr(value)) > LONGEST_FLOAT
        if long and not isinstance(new, ast.Attribute):  # of a record there is only its number
            return stamped(new, known_origin(new))
        return _put(value, new, known_origin(new))
    except NotStatic:
        return new


def _of_one(node: ast.expr) -> ast.expr | None:
    """The x of `x // 1`, `x * 1` and `1 * x`: of parts, whose x is a number and no bool."""
    match node:
        case ast.BinOp(left=kept, op=ast.FloorDiv() | ast.Mult(), right=ast.Constant(value=one)):
            return kept if type(one) is int and one == 1 else None
        case ast.BinOp(left=ast.Constant(value=one), op=ast.Mult(), right=kept):
            return kept if type(one) is int and one == 1 else None
    return None


def _put(value: object, node: ast.expr, origin: ast.expr | None = None) -> ast.expr:
    """The literal of a value, or the constant itself where it is a record of the Plan."""
    if isinstance(value, ast.expr):
        return value if origin is None else stamped(with_fields(value, {}), origin)
    if isinstance(value, range | zip | enumerate | list):
        return node
    try:
        return stamped(literal(value), origin)
    except NotStatic:
        return node


def _attribute(node: ast.Attribute, scope: Scope) -> ast.expr:
    if is_self(node):
        found = node.attr in scope.attributes
        origin = scope.origins.get(f"self.{node.attr}")
        return _put(scope.attributes[node.attr], node, origin) if found else node
    if isinstance(node.value, ast.Attribute) and is_self(node.value):
        value = scope.child(node.value.attr, node.attr)
        if value is not None:
            return _put(value, node)
    new = rebuild(node, lambda item: fold(item, scope))
    return settle(node, new, scope)


def fold_test(node: ast.expr, scope: Scope) -> ast.expr:
    """A condition, where only the truth of its parts matters."""
    new = fold(node, scope)
    if isinstance(new, ast.BoolOp):
        stop = isinstance(new.op, ast.Or)
        truths = [scope.truth(item) for item in new.values]
        if stop in truths:
            return ast.Constant(stop)
        kept = [item for item, truth in zip(new.values, truths, strict=True) if truth is None]
        if len(kept) < len(truths):
            return joined(new.op, kept) if kept else ast.Constant(not stop)
    return new


def _bool(node: ast.BoolOp, scope: Scope) -> ast.expr:
    """Drop operands that cannot decide, and those that are never reached."""
    stop = isinstance(node.op, ast.Or)
    kept: list[ast.expr] = []
    for index, item in enumerate(node.values):
        value = fold(item, scope)
        truth = scope.truth(value)
        if truth is None or index == len(node.values) - 1 or truth is stop:
            kept.append(value)
        if truth is stop:
            break
    same = len(kept) == len(node.values)
    if same and all(a is b for a, b in zip(kept, node.values, strict=True)):
        return node
    return settle(node, joined(node.op, kept), scope)


def _compare(node: ast.Compare, scope: Scope) -> ast.expr:
    new = rebuild(node, lambda item: fold(item, scope))
    left, op, right = new.left, new.ops[0], new.comparators[0]
    against_none = isinstance(right, ast.Constant) and right.value is None
    if against_none and isinstance(op, ast.Is | ast.IsNot) and len(new.ops) == 1:
        if isinstance(left, ast.Attribute) and is_self(left) and left.attr in scope.present:
            return ast.Constant(isinstance(op, ast.IsNot))
    return settle(node, new, scope)


def _call(node: ast.Call, scope: Scope) -> ast.expr:
    resolved = scope.call(node, scope)
    if resolved is not None:
        return resolved
    new = rebuild(node, lambda item: fold(item, scope))
    name = dotted(new.func)
    if name == "getattr" and len(new.args) == 2:
        key = new.args[1]
        assert isinstance(key, ast.Constant), f"getattr of {ast.unparse(key)}"
        found = ast.Attribute(new.args[0], identifier(key.value), ast.Load())
        return fold(found, scope) if is_self(found) else found
    if new is node:
        return node
    if name == "tuple" and isinstance(new.args[0], ast.List):
        return ast.Tuple(new.args[0].elts, ast.Load())
    return settle(node, drop_defaults(new, of_classes=False), scope)


def _text(node: ast.JoinedStr, scope: Scope) -> ast.expr:
    new = rebuild(node, lambda item: fold(item, scope))
    try:
        return ast.Constant(scope.value(new)) if new is not node else node
    except NotStatic:
        return new


def _comprehension(
    node: ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp, scope: Scope
) -> ast.expr:
    generator = node.generators[0]
    rounds = static_rounds(generator, node, scope) if len(node.generators) == 1 else None
    if rounds is not None:
        found = _constants(node, rounds, scope)
        return found or _display(node, [with_names(scope, *names) for names in rounds])
    names = frozenset(
        item.id
        for part in node.generators
        for item in descend(part.target)
        if isinstance(item, ast.Name)
    )
    inner = hide(scope, names)
    return rebuild(node, lambda item: fold(item, inner))


def with_names(scope: Scope, names: Mapping[str, object], new: Mapping[str, ast.expr]) -> Scope:
    """The scope of one round, where a loop's names have values, and those stand for something."""
    origins = {name: origin for name, origin in scope.origins.items() if name not in names}
    origins |= new
    known = {**scope.names, **names}
    return replace(scope, names=known, hidden=scope.hidden - names.keys(), origins=origins)


def _constants(
    node: ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp,
    rounds: list[Round],
    scope: Scope,
) -> ast.expr | None:
    """A list of constants at once; to fold item by item takes the square of a long one."""
    if isinstance(node, ast.DictComp) or not rounds or any(_naming_calls(node.elt, scope)):
        return None
    element, known = fold(node.elt, hide(scope, frozenset(rounds[0][0]))), {**scope.module}
    try:
        values = [evaluate(element, ChainMap(names, known)) for names, _ in rounds]
    except NotStatic:
        return None
    items = [literal(value) for value in values]
    return ast.Set(items) if isinstance(node, ast.SetComp) else ast.List(items, ast.Load())


def _display(
    node: ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp, scopes: list[Scope]
) -> ast.expr:
    if isinstance(node, ast.DictComp):
        keys: list[ast.expr | None] = [fold(node.key, scope) for scope in scopes]
        return ast.Dict(keys, [fold(node.value, scope) for scope in scopes])
    items = [fold(node.elt, scope) for scope in scopes]
    return ast.Set(items) if isinstance(node, ast.SetComp) else ast.List(items, ast.Load())


def static_rounds(loop: ast.comprehension, body: ast.AST, scope: Scope) -> list[Round] | None:
    """The names of each round, where a loop over constants has to be written out; else None.

    It has to be where it goes over a tuple of the spec, and where a nested part or an attribute's
    name depends on the loop's names.
    """
    folded = fold(loop.iter, scope)
    try:
        value = scope.value(folded)
    except NotStatic:
        return None
    names = {item.id for item in descend(loop.target) if isinstance(item, ast.Name)}
    counted = isinstance(value, range | enumerate) and "range" in ast.dump(folded)
    counted = counted and not (isinstance(body, ast.Module) and value == range(1))
    if (counted or folded is loop.iter) and not _needs_names(body, names, scope):
        return None
    values = {k: v for k, v in scope.names.items() if not isinstance(v, ast.expr)}
    generator = ast.comprehension(loop.target, folded, loop.ifs, 0)
    known = {**scope.module, **values}
    rounds = [
        {name: item for name, item in found.items() if name in names}
        for found in bindings([generator], known)
    ]
    return list(zip(rounds, _origins(loop, folded, len(rounds)), strict=True))


def _origins(
    loop: ast.comprehension, folded: ast.expr, rounds: int
) -> Iterator[dict[str, ast.expr]]:
    """What the name of a loop over all items of a constant stands for in each round."""
    origin, target = origin_of(folded), loop.target
    for place in range(rounds):
        if origin is None or loop.ifs or not isinstance(target, ast.Name):
            yield {}
        else:
            yield {target.id: ast.Subscript(origin, ast.Constant(place), ast.Load())}


def _needs_names(body: ast.AST, names: set[str], scope: Scope) -> bool:
    return any(
        item.id in names
        for call in _naming_calls(body, scope)
        for item in descend(call)
        if isinstance(item, ast.Name)
    )


def _naming_calls(body: ast.AST, scope: Scope) -> Iterator[ast.Call]:
    for item in descend(body):
        if isinstance(item, ast.Call):
            name = dotted(item.func)
            if name in ("getattr", "setattr", "self.add_module") or name in scope.parts:
                yield item
