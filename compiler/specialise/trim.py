"""Rewrites of statements and calls that removing dead code needs; each keeps what it can."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mmspec.compiler.specialise.nodes import descend, is_self, joined, with_fields
from mmspec.compiler.specialise.source import Statement, walk

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def map_statements(statement: Statement, change: Callable[[ast.stmt], ast.stmt]) -> Statement:
    """A statement and all inside it with their nodes changed."""
    new = statement.changed(change(statement.node))
    body = tuple(map_statements(item, change) for item in statement.body)
    orelse = tuple(map_statements(item, change) for item in statement.orelse)
    same = all(a is b for a, b in zip(body + orelse, new.body + new.orelse, strict=True))
    return new if same else replace(new, body=body, orelse=orelse)


def parameters(method: Statement) -> tuple[str, ...]:
    """The parameters of a method without self."""
    assert isinstance(method.node, ast.FunctionDef)
    a = method.node.args
    return tuple(
        item.arg for item in (*a.posonlyargs, *a.args, *a.kwonlyargs) if item.arg != "self"
    )


def without(method: Statement, dead: Iterable[str]) -> Statement:
    """A method without some parameters."""
    dead = set(dead)
    node = method.node
    assert isinstance(node, ast.FunctionDef)
    if not dead:
        return method
    args = node.args
    plain = [*args.posonlyargs, *args.args]
    lead: list[ast.expr | None] = [None] * (len(plain) - len(args.defaults))
    kept = [
        (a, d) for a, d in zip(plain, [*lead, *args.defaults], strict=True) if a.arg not in dead
    ]
    named = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    named_kept = [(a, d) for a, d in named if a.arg not in dead]
    new = ast.arguments(
        posonlyargs=[],
        args=[a for a, _ in kept],
        kwonlyargs=[a for a, _ in named_kept],
        kw_defaults=[d for _, d in named_kept],
        defaults=[d for _, d in kept if d is not None],
    )
    return method.changed(with_fields(node, {"args": new}))


def is_loose(method: Statement) -> bool:
    """Whether a method takes by name what it does not read."""
    assert isinstance(method.node, ast.FunctionDef)
    return method.node.args.kwarg is not None


def tightened(method: Statement) -> Statement:
    """A method that takes by name what it reads, and nothing else."""
    node = method.node
    assert isinstance(node, ast.FunctionDef)
    if node.args.kwarg is None:
        return method
    return method.changed(with_fields(node, {"args": with_fields(node.args, {"kwarg": None})}))


def in_order(call: ast.Call, before: Sequence[str], left: Sequence[str]) -> ast.Call:
    """A call of a loose method with what it reads alone, by place."""
    given = dict(zip(before, call.args, strict=False))
    given |= {item.arg or "**": item.value for item in call.keywords}
    return with_fields(call, {"args": [given[name] for name in left], "keywords": []})


def fewer_arguments(call: ast.expr, before: Sequence[str], dead: frozenset[str]) -> ast.expr:
    """A call without the arguments of dead parameters."""
    assert isinstance(call, ast.Call)
    assert not any(isinstance(item, ast.Starred) for item in call.args), "no *args to a part"
    args = [a for i, a in enumerate(call.args) if i >= len(before) or before[i] not in dead]
    keywords = [k for k in call.keywords if k.arg not in dead]
    if len(args) + len(keywords) == len(call.args) + len(call.keywords):
        return call
    return with_fields(call, {"args": args, "keywords": keywords})


def attributes(statement: Statement) -> set[str]:
    """Every attribute name read in a statement and all inside it."""
    return {
        item.attr
        for inner in walk([statement])
        for node in inner.header()
        for item in descend(node)
        if isinstance(item, ast.Attribute)
    }


def expressions(statement: Statement) -> Iterator[ast.AST]:
    """Every node in a statement and all inside it."""
    for inner in walk([statement]):
        for node in inner.header():
            yield from descend(node)


def kept_in(node: ast.stmt) -> tuple[ast.expr | None, str | None]:
    """The value and attribute of `self.x = value` and of `self.x.append(value)`."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        is_own = isinstance(target, ast.Attribute) and is_self(target)
        return node.value, target.attr if is_own and isinstance(target, ast.Attribute) else None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        func = node.value.func
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Attribute):
            return node.value, func.value.attr if is_self(func.value) else None
    return None, None


def self_reads(statement: Statement, name: str) -> list[ast.Attribute]:
    """Every `self.name` in a statement."""
    found = (node for node in expressions(statement) if isinstance(node, ast.Attribute))
    return [node for node in found if node.attr == name and is_self(node)]


def self_calls(statement: Statement, name: str) -> list[ast.Call]:
    """Every `self.name(...)` in a statement."""
    calls = (node for node in expressions(statement) if isinstance(node, ast.Call))
    return [node for node in calls if is_self_call(node, name)]


def is_self_call(node: ast.expr, name: str) -> bool:
    """Whether an expression is `self.name(...)`."""
    func = node.func if isinstance(node, ast.Call) else node
    return isinstance(func, ast.Attribute) and is_self(func) and func.attr == name


def without_call(statement: Statement, name: str) -> Statement:
    """A statement without the bare calls `self.name(...)` inside it."""

    def keep(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
        kept = (without_call(item, name) for item in block if not calls(item))
        return tuple(kept)

    def calls(item: Statement) -> bool:
        value = item.node.value if isinstance(item.node, ast.Expr) else None
        return isinstance(value, ast.Call) and is_self_call(value, name)

    body, orelse = keep(statement.body), keep(statement.orelse)
    same = body == statement.body and orelse == statement.orelse
    return statement if same else replace(statement, body=body, orelse=orelse)


def to_itself(node: ast.stmt) -> bool:
    """Whether a statement is `x = x`."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Name):
        return False
    return [getattr(target, "id", "") for target in node.targets] == [node.value.id]


def element_pairs(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """The assignments that `a, b = c, d` consists of; none for anything else."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return []
    target = node.targets[0]
    if not isinstance(target, ast.Tuple) or len(target.elts) != len(node.value.elts):
        return []
    pairs = zip(target.elts, node.value.elts, strict=True)
    return [(to.id, value) for to, value in pairs if isinstance(to, ast.Name)]


def fewer_targets(node: ast.stmt, live: set[str]) -> ast.stmt:
    """`a, b = c, d` without what nobody reads."""
    kept = [(name, value) for name, value in element_pairs(node) if name in live]
    if not kept:
        return node
    names: list[ast.expr] = [ast.Name(name, ast.Store()) for name, _ in kept]
    values = [value for _, value in kept]
    if len(kept) == 1:
        return ast.Assign(names, values[0])
    return ast.Assign([ast.Tuple(names, ast.Store())], ast.Tuple(values, ast.Load()))


@dataclass
class Gaps:
    """Blank lines of a block that loses statements: paragraphs stay apart, none is left over."""

    pending: bool = False
    first: bool | None = None

    def after(self, gap: bool, kept: bool, inside: bool) -> bool:
        """Whether a blank line precedes a statement; `inside`: others precede it in the block."""
        if not kept:
            self.pending = inside and (self.pending or gap)
            self.first = gap if not inside and self.first is None else self.first
            return False
        found = self.pending or gap if self.first is None else self.first
        self.pending, self.first = False, None
        return found


def real(block: Sequence[Statement]) -> bool:
    """Whether a block does anything: more than a docstring and `pass`."""
    return any(
        not isinstance(s.node, ast.Pass)
        and not (isinstance(s.node, ast.Expr) and isinstance(s.node.value, ast.Constant))
        for s in block
    )


def negated(statement: Statement, node: ast.If) -> Statement:
    """`if a: pass else: b` as `if not a: b`."""
    test, orelse = opposite(node.test), statement.orelse
    only = orelse[0]
    if len(orelse) == 1 and only.chained and isinstance(only.node, ast.If):
        body: tuple[Statement, ...] = (replace(only, chained=False),)
        if not only.orelse:
            test, body = joined(ast.And(), [test, only.node.test]), only.body
        return replace(statement.changed(with_fields(node, {"test": test})), body=body, orelse=())
    new = statement.changed(with_fields(node, {"test": test}))
    return replace(new, body=orelse, orelse=())


def opposite(test: ast.expr) -> ast.expr:
    """The negation of a condition, as it would be written."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _OPPOSITE:
        return with_fields(test, {"ops": [_OPPOSITE[type(test.ops[0])]()]})
    return ast.UnaryOp(ast.Not(), test)


def without_counter(node: ast.For, read: set[str]) -> ast.For:
    """A loop without the counter or companion that its body never reads."""
    target, loop = node.target, node.iter
    if not isinstance(target, ast.Tuple) or not isinstance(loop, ast.Call):
        return node
    names = [getattr(item, "id", None) for item in target.elts]
    idle = [name is not None and name not in read for name in names]
    func = loop.func.id if isinstance(loop.func, ast.Name) else ""
    if func == "enumerate" and idle[0]:
        return with_fields(node, {"target": target.elts[1], "iter": loop.args[0]})
    if func == "zip" and idle.count(False) == 1:
        at = idle.index(False)
        return with_fields(node, {"target": target.elts[at], "iter": loop.args[at]})
    if not any(idle):
        return node
    blank = [
        ast.Name("_", ast.Store()) if unused else item
        for item, unused in zip(target.elts, idle, strict=True)
    ]
    return with_fields(node, {"target": ast.Tuple(blank, ast.Store())})


def owner(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """The attribute of self that an expression is, or is an item of."""
    match node:
        case ast.Name():
            return aliases.get(node.id)
        case ast.Subscript():
            return owner(node.value, aliases)
        case ast.Attribute() if is_self(node):
            return node.attr
        case ast.List() | ast.Tuple() if node.elts:
            return owner(node.elts[0], aliases)
    return None


def loop_pairs(target: ast.expr, loop: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Which variable of a loop runs over which collection."""
    if not isinstance(loop, ast.Call):
        return [(target, loop)]
    name = loop.func.id if isinstance(loop.func, ast.Name) else ""
    parts = target.elts if isinstance(target, ast.Tuple) else []
    if name == "enumerate" and len(parts) == 2:
        return loop_pairs(parts[1], loop.args[0])
    if name == "zip" and len(parts) == len(loop.args):
        return [p for t, a in zip(parts, loop.args, strict=True) for p in loop_pairs(t, a)]
    if name in ("reversed", "list", "tuple") and loop.args:
        return loop_pairs(target, loop.args[0])
    if isinstance(loop.func, ast.Attribute) and loop.func.attr == "values":
        return [(target, loop.func.value)]
    if isinstance(loop.func, ast.Attribute) and loop.func.attr == "items" and parts:
        return [(parts[1], loop.func.value)]
    return []
