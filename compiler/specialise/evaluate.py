"""Static evaluation of the small expressions that parts write about their constants.

A static expression is made of literals, constants of the spec and pure built-ins. Values are exact
built-in types; frozen dataclasses of the Plan may be read through, but never become text.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

LITERALS = (bool, int, float, str, type(None))


class NotStatic(Exception):
    """The expression depends on more than constants."""


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_MATH = ("sqrt", "log", "log2", "exp", "floor", "ceil", "prod", "gcd", "isqrt")
_CALLS: dict[str, Callable[..., Any]] = {
    **{f"math.{name}": getattr(math, name) for name in _MATH},
    **{f.__name__: f for f in (min, max, int, float, str, bool, abs, round, len, sum, any, all)},
    **{f.__name__: f for f in (tuple, sorted, range, zip, enumerate, reversed, list)},
}
_METHODS: dict[type, set[str]] = {
    str: {"join", "upper", "lower", "title", "capitalize", "replace", "startswith", "endswith"},
    tuple: {"index", "count"},
}


def is_constant(value: object) -> bool:
    """Whether a value may be a constant of a part: exact built-in types, or a frozen dataclass."""
    if type(value) is tuple:
        return all(is_constant(item) for item in value)
    return type(value) in LITERALS or _is_record(value)


def literal(value: object) -> ast.expr:
    """The expression of a value: a literal; a record of the Plan stays one opaque constant."""
    if type(value) is tuple:
        found = ast.Tuple([literal(item) for item in value], ast.Load())
        found.__dict__["_value"] = value
        return found
    if type(value) in (int, float) and math.copysign(1, value) < 0:  # type: ignore[arg-type]
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))  # type: ignore[operator]
    if not is_constant(value):
        raise NotStatic(type(value).__name__)
    return ast.Constant(value)  # type: ignore[arg-type]


def evaluate(node: ast.expr, names: Mapping[str, object]) -> Any:
    """The value of a static expression, given the values of names; raises NotStatic."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise NotStatic(type(node).__name__)
    try:
        return handler(node, names)
    except (ArithmeticError, ValueError, TypeError, IndexError) as error:
        raise NotStatic(str(error)) from error


def dotted(node: ast.expr) -> str:
    """`a.b.c` as text; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _is_record(value: object) -> bool:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return False
    return bool(getattr(type(value), "__dataclass_params__").frozen)  # noqa: B009


def _name(node: ast.Name, names: Mapping[str, object]) -> object:
    if node.id not in names:
        raise NotStatic(node.id)
    return names[node.id]


def _attribute(node: ast.Attribute, names: Mapping[str, object]) -> object:
    value = evaluate(node.value, names)
    if not _is_record(value) or node.attr.startswith("_") or not hasattr(value, node.attr):
        raise NotStatic(node.attr)
    return getattr(value, node.attr)


def _tuple(node: ast.Tuple | ast.List, names: Mapping[str, object]) -> tuple[object, ...]:
    known: tuple[object, ...] | None = node.__dict__.get("_value")
    return tuple(evaluate(item, names) for item in node.elts) if known is None else known


def _bool(node: ast.BoolOp, names: Mapping[str, object]) -> object:
    stop = isinstance(node.op, ast.Or)
    value: object = None
    for item in node.values:
        value = evaluate(item, names)
        if bool(value) is stop:
            break
    return value


def _compare(node: ast.Compare, names: Mapping[str, object]) -> bool:
    left = evaluate(node.left, names)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = evaluate(comparator, names)
        if not _COMPARE[type(op)](left, right):
            return False
        left = right
    return True


def _choice(node: ast.IfExp, names: Mapping[str, object]) -> object:
    return evaluate(node.body if evaluate(node.test, names) else node.orelse, names)


def _subscript(node: ast.Subscript, names: Mapping[str, object]) -> object:
    value = evaluate(node.value, names)
    if isinstance(node.slice, ast.Slice):
        bounds = (node.slice.lower, node.slice.upper, node.slice.step)
        return value[slice(*(None if b is None else evaluate(b, names) for b in bounds))]
    return value[evaluate(node.slice, names)]


def _text(node: ast.JoinedStr, names: Mapping[str, object]) -> str:
    parts: list[str] = []
    for item in node.values:
        if isinstance(item, ast.FormattedValue):
            if item.format_spec is not None or item.conversion != -1:
                raise NotStatic("format")
            parts.append(str(evaluate(item.value, names)))
        else:
            parts.append(str(evaluate(item, names)))
    return "".join(parts)


def _call(node: ast.Call, names: Mapping[str, object]) -> object:
    name = dotted(node.func)
    if name == "isinstance":
        return _isinstance(node, names)
    arguments = [evaluate(item, names) for item in node.args]
    keywords = {item.arg: evaluate(item.value, names) for item in node.keywords if item.arg}
    if len(keywords) != len(node.keywords):
        raise NotStatic("**")
    if name in _CALLS:
        return _CALLS[name](*arguments, **keywords)
    if isinstance(node.func, ast.Attribute):
        value = evaluate(node.func.value, names)
        if node.func.attr in _METHODS.get(type(value), set()):
            return getattr(value, node.func.attr)(*arguments)
    raise NotStatic(name)


def _isinstance(node: ast.Call, names: Mapping[str, object]) -> bool:
    value = evaluate(node.args[0], names)
    wanted = node.args[1]
    options = wanted.elts if isinstance(wanted, ast.Tuple) else [wanted]
    while isinstance(options[0], ast.BinOp):
        options = [options[0].left, options[0].right, *options[1:]]
    known = {base.__name__ for base in type(value).__mro__}
    return any(dotted(option).rpartition(".")[2] in known for option in options)


def _comprehension(
    node: ast.ListComp | ast.GeneratorExp, names: Mapping[str, object]
) -> tuple[object, ...]:
    return tuple(evaluate(node.elt, inner) for inner in bindings(node.generators, names))


def bindings(
    generators: list[ast.comprehension], names: Mapping[str, object]
) -> Iterator[dict[str, object]]:
    """The values of all names for each round of a static comprehension."""
    if not generators:
        yield dict(names)
        return
    first, *rest = generators
    for item in evaluate(first.iter, names):
        inner = {**names, **unpack(first.target, item)}
        if all(evaluate(test, inner) for test in first.ifs):
            yield from bindings(rest, inner)


def unpack(target: ast.expr, value: Any) -> dict[str, object]:
    """The names that an assignment of a value to a target binds."""
    if isinstance(target, ast.Name):
        return {target.id: value}
    if not isinstance(target, ast.Tuple | ast.List) or len(target.elts) != len(value):
        raise NotStatic("unpacking")
    found: dict[str, object] = {}
    for part, item in zip(target.elts, value, strict=True):
        found.update(unpack(part, item))
    return found


def _binary(node: ast.BinOp, names: Mapping[str, object]) -> object:
    if type(node.op) not in _BINARY:
        raise NotStatic(type(node.op).__name__)
    return _BINARY[type(node.op)](evaluate(node.left, names), evaluate(node.right, names))


def _unary(node: ast.UnaryOp, names: Mapping[str, object]) -> object:
    if type(node.op) not in _UNARY:
        raise NotStatic(type(node.op).__name__)
    return _UNARY[type(node.op)](evaluate(node.operand, names))


_HANDLERS: dict[type[ast.expr], Callable[[Any, Mapping[str, object]], Any]] = {
    ast.Constant: lambda node, names: node.value,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Tuple: _tuple,
    ast.List: _tuple,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _bool,
    ast.Compare: _compare,
    ast.IfExp: _choice,
    ast.Subscript: _subscript,
    ast.JoinedStr: _text,
    ast.Call: _call,
    ast.ListComp: _comprehension,
    ast.GeneratorExp: _comprehension,
}
