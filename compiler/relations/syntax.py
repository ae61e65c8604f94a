"""Integer expressions that isl's code generator finds, as Python and as Triton.

Division is the difference: Python's `//` rounds down, Triton's on numbers known only when the
kernel runs cuts off. So Triton's text divides only what is not negative.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mmspec.compiler.relations.isl import isl

__all__ = [
    "Dialect",
    "Expression",
    "Operation",
    "added",
    "function",
    "multiplied",
    "read",
    "simplified",
    "value",
    "variables",
    "write",
]

Dialect = Literal["python", "triton", "isl"]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator and what it is applied to."""

    name: str
    of: tuple[Expression, ...]


Expression = int | str | Operation
"""A number, the name of a variable, or an operation."""

_KINDS: Final[Any] = isl.ast_expr_type
_OPERATORS_OF_ISL: Final[Any] = isl.ast_expr_op_type
"""islpy's stubs lack members whose names Python reserves."""

_OPERATORS: Final[dict[Any, str]] = {
    _OPERATORS_OF_ISL.and_: "and",
    _OPERATORS_OF_ISL.and_then: "and",
    _OPERATORS_OF_ISL.or_: "or",
    _OPERATORS_OF_ISL.or_else: "or",
    _OPERATORS_OF_ISL.max: "max",
    _OPERATORS_OF_ISL.min: "min",
    _OPERATORS_OF_ISL.minus: "negative",
    _OPERATORS_OF_ISL.add: "+",
    _OPERATORS_OF_ISL.sub: "-",
    _OPERATORS_OF_ISL.mul: "*",
    _OPERATORS_OF_ISL.div: "//",
    _OPERATORS_OF_ISL.fdiv_q: "floor",
    _OPERATORS_OF_ISL.pdiv_q: "//",
    _OPERATORS_OF_ISL.pdiv_r: "%",
    _OPERATORS_OF_ISL.zdiv_r: "divides",
    _OPERATORS_OF_ISL.eq: "==",
    _OPERATORS_OF_ISL.le: "<=",
    _OPERATORS_OF_ISL.lt: "<",
    _OPERATORS_OF_ISL.ge: ">=",
    _OPERATORS_OF_ISL.gt: ">",
    _OPERATORS_OF_ISL.cond: "if",
    _OPERATORS_OF_ISL.select: "if",
}
_BINDING: Final = {
    "if": 0, "or": 1, "and": 2, "==": 4, "<=": 4, "<": 4, ">=": 4, ">": 4, "+": 5, "-": 5,
    "*": 6, "//": 6, "floor": 6, "%": 6, "divides": 6, "negative": 7,
}  # fmt: skip
_ATOM: Final = 9
_COMPUTED: Final[Mapping[str, Callable[..., Any]]] = {
    "or": lambda a, b: a or b, "and": lambda a, b: a and b, "==": operator.eq,
    "<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt, "+": operator.add,
    "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "floor": operator.floordiv,
    "%": operator.mod, "divides": operator.mod, "negative": operator.neg, "min": min, "max": max,
    "if": lambda condition, yes, no: yes if condition else no,
}  # fmt: skip


def read(found: isl.AstExpr) -> Expression:
    """An expression of isl."""
    kind = found.get_type()
    if kind == _KINDS.int:
        return int(found.get_val().to_python())
    if kind == _KINDS.id:
        return str(found.get_id().get_name())
    name = _OPERATORS[found.op_get_type()]
    of = tuple(read(found.op_get_arg(place)) for place in range(found.op_get_n_arg()))
    if name == "+":
        return added(*of)
    if name == "-" and isinstance(of[1], int):
        return added(of[0], -of[1])
    return Operation(name, of)


def added(left: Expression, right: Expression) -> Expression:
    """The sum, with a number folded into what stands there."""
    if isinstance(left, int) and not isinstance(right, int):
        left, right = right, left
    if not isinstance(right, int):
        return Operation("+", (left, right))
    if right == 0:
        return left
    if isinstance(left, int):
        return left + right
    if isinstance(left, Operation):
        return _folded(left, right)
    return Operation("+", (left, right))


def multiplied(left: Expression, number: Expression) -> Expression:
    """The product, unless that is one of the two, 0, or a number."""
    if left == 0 or number == 1:
        return left
    if isinstance(left, int) and isinstance(number, int):
        return left * number
    return Operation("*", (left, number))


def _folded(left: Operation, number: int) -> Expression:
    """min(a, b) + 1 = min(a + 1, b + 1), and x // 64 + 1 = (x + 64) // 64."""
    if left.name in ("min", "max"):
        return Operation(left.name, tuple(added(part, number) for part in left.of))
    if left.name in ("floor", "//") and number > 0 and isinstance(left.of[1], int):
        return Operation(left.name, (added(left.of[0], number * left.of[1]), left.of[1]))
    if left.name == "+" and isinstance(left.of[1], int):
        return added(left.of[0], left.of[1] + number)
    return Operation("+", (left, number))


def write(expression: Expression, dialect: Dialect = "python") -> str:
    """Its text."""
    return _write(expression, dialect, 0)


def _write(expression: Expression, dialect: Dialect, tightness: int) -> str:
    if isinstance(expression, int | str):
        negative = isinstance(expression, int) and expression < 0
        return f"({expression})" if negative and tightness > 6 else str(expression)
    text, own = _operation(expression, dialect)
    return f"({text})" if own < tightness else text


def _operation(expression: Operation, dialect: Dialect) -> tuple[str, int]:
    """Its text and how tightly that binds."""
    name, of = expression.name, expression.of
    if name in ("min", "max"):
        return _extreme(expression, dialect), _ATOM
    if name == "negative":
        return f"-{_write(of[0], dialect, 7)}", 7
    own = _BINDING[name]
    if name == "if":
        condition, yes, no = (_write(part, dialect, 1) for part in of)
        return f"{yes} if {condition} else {no}", own
    if dialect == "isl" and name in ("//", "floor", "%", "divides"):
        return _quotient(name, of), _ATOM
    if name == "floor" and dialect == "triton":
        return _floor(of, dialect)
    if name == "+" and isinstance(of[1], int) and of[1] < 0:
        return f"{_write(of[0], dialect, own)} - {-of[1]}", own
    sign = {"floor": "//", "divides": "%"}.get(name, name)
    if dialect == "isl" and name == "==":
        sign = "="
    paired = dialect == "triton" and name in ("and", "or")
    return f"{_write(of[0], dialect, own + paired)} {sign} {_write(of[1], dialect, own + 1)}", own


def _quotient(name: str, of: tuple[Expression, ...]) -> str:
    left, right = (_write(part, "isl", 0) for part in of)
    if name in ("%", "divides"):
        return f"(({left}) mod {right})"
    return f"floor(({left})/{right})"


def _extreme(expression: Operation, dialect: Dialect) -> str:
    """The least or greatest; Triton's take two."""
    of = expression.of
    if dialect == "triton" and expression.name == "max":
        of = _not_negative(of)
    texts = [_write(part, dialect, 0) for part in of]
    if dialect != "triton":
        return f"{expression.name}({', '.join(texts)})"
    text = texts.pop()
    while texts:
        text = f"{expression.name}({texts.pop()}, {text})"
    return text


def _not_negative(of: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Where the greatest is not negative anyway, its quotients may be of what is not."""
    if not any(isinstance(part, int) and part >= 0 for part in of):
        return of
    return tuple(
        Operation("//", (Operation("max", (part.of[0], 0)), part.of[1]))
        if isinstance(part, Operation) and part.name == "floor"
        else part
        for part in of
    )


def _floor(of: tuple[Expression, ...], dialect: Dialect) -> tuple[str, int]:
    """Rounded down, by quotients that are not negative."""
    value, divisor = of
    assert isinstance(divisor, int), divisor
    opposite = added(Operation("max", (Operation("negative", (value,)), 0)), divisor - 1)
    up = Operation("//", (Operation("max", (value, 0)), divisor))
    down = Operation("//", (opposite, divisor))
    return _operation(Operation("-", (up, down)), dialect)


def function(names: tuple[str, ...], condition: isl.Set) -> tuple[Callable[..., Any], str]:
    """A condition on a set's coordinates, as a function of them and of the parameters.

    names: of the coordinates, then of the parameters. Also its text.
    """
    count = condition.dim(isl.dim_type.set)
    facts = condition.flatten() if condition.is_wrapping() else condition
    for place in range(count):
        facts = facts.set_dim_name(isl.dim_type.set, place, names[place])
    end = facts.dim(isl.dim_type.param)
    facts = facts.move_dims(isl.dim_type.param, end, isl.dim_type.set, 0, count).params()
    anything = isl.Set.universe(facts.get_space())
    text = write(read(isl.AstBuild.from_context(anything).expr_from_set(facts)))
    made = eval(f"lambda {', '.join(names)}: {text}", {"__builtins__": {"min": min, "max": max}})
    return made, text


def simplified(expression: Expression, facts: isl.Set) -> Expression:
    """The same, with quotients of what is never negative marked as such.

    facts: what is known of the variables, which are its parameters.
    """
    if isinstance(expression, int | str):
        return expression
    of = tuple(simplified(part, facts) for part in expression.of)
    plain = expression.name == "floor" and _never_negative(of[0], facts)
    return Operation("//" if plain else expression.name, of)


def _never_negative(expression: Expression, facts: isl.Set) -> bool:
    known = {facts.get_dim_name(isl.dim_type.param, at) for at in range(facts.n_param())}
    if not variables(expression) <= known:
        return False
    parameters = ", ".join(sorted(name for name in known if name))
    below = isl.Set(f"[{parameters}] -> {{ : {write(expression, 'isl')} < 0 }}")
    return bool(below.is_disjoint(facts))


def replaced(expression: Expression, name: str, by: Expression) -> Expression:
    """The expression with a variable replaced by another one."""
    if isinstance(expression, int | str):
        return by if expression == name else expression
    of = tuple(replaced(part, name, by) for part in expression.of)
    return added(*of) if expression.name == "+" else Operation(expression.name, of)


def variables(expression: Expression) -> frozenset[str]:
    """The names in it."""
    if isinstance(expression, Operation):
        return frozenset().union(*map(variables, expression.of))
    return frozenset({expression} if isinstance(expression, str) else ())


def value(expression: Expression, at: Mapping[str, int]) -> int:
    """What it is where its variables have these values; a condition is 0 or 1."""
    if isinstance(expression, int):
        return expression
    if isinstance(expression, str):
        return at[expression]
    return int(_COMPUTED[expression.name](*(value(part, at) for part in expression.of)))
