"""Dimension expressions: sizes such as `4*d`.

sum     := product (("+" | "-") product)*
product := factor (("*" | "/" | "//") factor)*
factor  := "-" factor | "(" sum ")" | whole number | NAME

`/` must divide exactly; `//` rounds down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mmspec.diagnostics import Diagnostic, MmspecError, Span
from mmspec.expressions.scanner import NOT_FINITE, Scanner, Token, did_you_mean

LIMIT: Final = 2**31
_BIG: Final = 2**63
_MADE_OF: Final = "a size uses + - * / // and parentheses, such as 4*d"
_JOINS: Final = ("and", "if", "mod", "not", "or", "xor")


def evaluate(text: str | int, dims: Mapping[str, int], span: Span | None = None) -> int:
    """The value of a size, a positive int below 2**31; raises MmspecError MM200 to MM203."""
    if isinstance(text, str):
        value = _Parser(text, dims, span).value()
    else:
        assert not isinstance(text, bool), "a boolean is no size"
        value = text
    if not 0 < value < LIMIT:
        shown = value if abs(value) < _BIG else "too large"
        message = f"a size is a positive whole number below 2**31; this is {shown}"
        raise MmspecError(Diagnostic("MM203", message, span))
    return value


class _Parser:
    """Evaluates while it reads; every intermediate stays below 2**63."""

    def __init__(self, text: str, dims: Mapping[str, int], span: Span | None) -> None:
        self.scanner = Scanner(text, span, "MM201", "size")
        self.dims = dims

    def value(self) -> int:
        value = self._sum()
        power = self.scanner.next.text in ("**", "^")
        self.scanner.finish("a size has no powers: write d*d" if power else _MADE_OF)
        return value

    def _sum(self) -> int:
        value = self._product()
        while operator := self.scanner.accept("+", "-"):
            right = self._product()
            value = self._bounded(
                value + right if operator.text == "+" else value - right, operator
            )
        return value

    def _product(self) -> int:
        value = self._factor()
        while operator := self.scanner.accept("*", "/", "//"):
            right = self._factor()
            value = self._bounded(self._apply(operator, value, right), operator)
        return value

    def _apply(self, operator: Token, left: int, right: int) -> int:
        if operator.text == "*":
            return left * right
        if right == 0:
            self.scanner.fail("division by zero", token=operator, code="MM203")
        if operator.text == "/" and left % right:
            message = f"{left} / {right} is not a whole number"
            self.scanner.fail(message, "write // to round down", operator, "MM203")
        return left // right

    def _bounded(self, value: int, operator: Token) -> int:
        if abs(value) >= _BIG:
            self.scanner.fail("the value here is too large", token=operator, code="MM203")
        return value

    def _factor(self) -> int:
        scanner = self.scanner
        if scanner.accept("-"):
            return -scanner.nested(self._factor)
        if scanner.accept("("):
            value = scanner.nested(self._sum)
            scanner.expect(")")
            return value
        if scanner.next.kind == "name":
            return self._name(scanner.take())
        token = scanner.next
        return self._bounded(scanner.whole("a number or a name from `dims`"), token)

    def _name(self, token: Token) -> int:
        if token.text not in self.dims:
            advice = self._meant(token)
            self.scanner.fail(
                f"`{token.text}` is not among `dims`",
                lambda: advice or did_you_mean(token.text, self.dims, "dims"),
                token,
                "MM202",
            )
        return self.dims[token.text]

    def _meant(self, token: Token) -> str:
        """What to write for a word that is no name of a size; empty where it may be one."""
        if token.text.lower() in NOT_FINITE:
            return "a size is finite: a whole number below 2**31"
        if self.scanner.next.text == "(":
            return "a size has no functions; // rounds down"
        return _MADE_OF if token.text.lower() in _JOINS else ""
