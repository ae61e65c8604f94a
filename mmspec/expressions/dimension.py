"""Dimension expressions: sizes such as `4*d`, and factors such as `1/sqrt(d)`.

sum     := product (("+" | "-") product)*
product := factor (("*" | "/" | "//") factor)*
factor  := "-" factor | "(" sum ")" | number | NAME | FUNCTION "(" sum ("," sum)* ")"

In a size numbers are whole, `/` must divide exactly, and the functions are `min` and `max`; in a
factor numbers are decimal, and there is `sqrt` too. `//` rounds down.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

from mmspec.diagnostics import Diagnostic, MmspecError, Span
from mmspec.expressions.scanner import MADE_OF, NOT_FINITE, Scanner, Token, did_you_mean

LIMIT: Final = 2**31
_BIG: Final = 2**63
_JOINS: Final = ("and", "if", "mod", "not", "or", "xor")

Number = TypeVar("Number", int, float)


def evaluate(text: str | int, dims: Mapping[str, int], span: Span | None = None) -> int:
    """The value of a size, a positive int below 2**31; raises MmspecError MM200 to MM203."""
    if isinstance(text, str):
        value = _Size(text, dims, span).value()
    else:
        assert not isinstance(text, bool), "a boolean is no size"
        value = text
    if not 0 < value < LIMIT:
        shown = value if abs(value) < _BIG else "too large"
        message = f"a size is a positive whole number below 2**31; this is {shown}"
        raise MmspecError(Diagnostic("MM203", message, span))
    return value


def factor(text: str, dims: Mapping[str, int], span: Span | None = None) -> float:
    """The value of a factor; raises MmspecError MM200 to MM203."""
    return _Factor(text, dims, span).value()


class _Parser(ABC, Generic[Number]):
    """Evaluates while it reads; every intermediate stays below 2**63."""

    what: ClassVar[str]
    functions: ClassVar[Mapping[str, Callable[[list[Any]], Any]]] = {"max": max, "min": min}

    def __init__(self, text: str, dims: Mapping[str, int], span: Span | None) -> None:
        self.scanner = Scanner(text, span, "MM201", self.what)
        self.dims: Mapping[str, Any] = dims

    @abstractmethod
    def _number(self) -> Number: ...

    @abstractmethod
    def _over(self, operator: Token, left: Number, right: Number) -> Number: ...

    def value(self) -> Number:
        value = self._sum()
        power = self.scanner.next.text in ("**", "^")
        self.scanner.finish(
            f"a {self.what} has no powers: write d*d" if power else MADE_OF[self.what]
        )
        return value

    def _sum(self) -> Number:
        value = self._product()
        while operator := self.scanner.accept("+", "-"):
            right = self._product()
            value = self._bounded(
                value + right if operator.text == "+" else value - right, operator
            )
        return value

    def _product(self) -> Number:
        value = self._factor()
        while operator := self.scanner.accept("*", "/", "//"):
            right = self._factor()
            value = self._bounded(self._applied(operator, value, right), operator)
        return value

    def _applied(self, operator: Token, left: Number, right: Number) -> Number:
        if operator.text == "*":
            return left * right
        if right == 0:
            self.scanner.fail("division by zero", token=operator, code="MM203")
        return left // right if operator.text == "//" else self._over(operator, left, right)

    def _bounded(self, value: Number, operator: Token) -> Number:
        if abs(value) >= _BIG:
            self.scanner.fail("the value here is too large", token=operator, code="MM203")
        return value

    def _factor(self) -> Number:
        scanner = self.scanner
        if scanner.accept("-"):
            return -scanner.nested(self._factor)
        if scanner.accept("("):
            value = scanner.nested(self._sum)
            scanner.expect(")")
            return value
        if scanner.next.kind == "name":
            token = scanner.take()
            is_call = token.text in self.functions and scanner.next.text == "("
            return scanner.nested(lambda: self._called(token)) if is_call else self._name(token)
        token = scanner.next
        return self._bounded(self._number(), token)

    def _called(self, token: Token) -> Number:
        """What a function makes of the values in its parentheses."""
        self.scanner.expect("(")
        values = [self._sum()]
        while self.scanner.accept(","):
            values.append(self._sum())
        self.scanner.expect(")")
        try:
            found: Number = self.functions[token.text](values)
        except ValueError as wrong:
            self.scanner.fail(str(wrong), token=token, code="MM203")
        return found

    def _name(self, token: Token) -> Number:
        if token.text not in self.dims:
            advice = self._meant(token)
            self.scanner.fail(
                f"`{token.text}` is not among `dims`",
                lambda: advice or did_you_mean(token.text, self.dims, "dims"),
                token,
                "MM202",
            )
        found: Number = self.dims[token.text]
        return found

    def _meant(self, token: Token) -> str:
        """What to write for a word that is no name of a size; empty where it may be one."""
        if token.text.lower() in NOT_FINITE:
            return "a size is finite: a whole number below 2**31"
        if self.scanner.next.text == "(":
            return f"the functions of a {self.what}: {', '.join(self.functions)}"
        return MADE_OF[self.what] if token.text.lower() in _JOINS else ""


class _Size(_Parser[int]):
    what = "size"

    def _number(self) -> int:
        return self.scanner.whole("a number or a name from `dims`")

    def _over(self, operator: Token, left: int, right: int) -> int:
        if left % right:
            message = f"{left} / {right} is not a whole number"
            self.scanner.fail(message, "write // to round down", operator, "MM203")
        return left // right


def _root(values: list[float]) -> float:
    """The root of one number; raises ValueError."""
    if len(values) != 1 or values[0] < 0:
        raise ValueError("`sqrt` takes one number that is not negative")
    return math.sqrt(values[0])


class _Factor(_Parser[float]):
    what = "factor"
    functions: ClassVar = {**_Parser.functions, "sqrt": _root}

    def _number(self) -> float:
        return float(self.scanner.decimal())

    def _over(self, operator: Token, left: float, right: float) -> float:
        return left / right
