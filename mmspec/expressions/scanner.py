"""Tokens of the expression languages, a cursor over them, and exact numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple, NoReturn, TypeVar

from mmspec.diagnostics import Diagnostic, MmspecError, Span, listed, shortened, suggest
from mmspec.expressions import words

MAX_LENGTH: Final = 2000
MAX_DEPTH: Final = 64
MAX_EXPONENT: Final = 40

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>->|<=|>=|==|//|\*\*|[-+*/()~&|,=<>^])"
)
_OF_PAIR = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*)")
"""A learned token that leads a modality's: `image.cls`."""
_SPACE = re.compile(r"[ \t\r\n]*")
_ADVICE: Final = {
    "≤": "write <=",
    "≥": "write >=",
    "→": "write ->",
    "×": "write *",
    "·": "write *",
    "−": "write -",
    "∧": "write &",
    "∨": "write |",
    "¬": "write ~",
    ":": "masks by pair are a mapping: {text -> text: causal, text -> image: full}",
    "µ": "write us",
    "μ": "write us",
}
MADE_OF: Final = {
    "mask": "join patterns with ~ (not), & (and), | (or), and write arguments in parentheses",
    "claim": "a claim holds names, numbers, ( ) and the comparisons <= < >= > ==",
    "size": "a size uses + - * / // and parentheses, such as 4*d",
    "factor": "a factor uses + - * / sqrt and parentheses, such as 1/sqrt(d)",
    "quantity": "write a number and a unit, such as `100 Hz`",
}
"""What an expression holds, for a character that is none of it."""

_OTHER_BASE = re.compile(r"0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+")
NOT_FINITE: Final = frozenset({"inf", "infinity", "nan"})

Node = TypeVar("Node")


class Token(NamedTuple):
    """A word of an expression: text[start:end]; the last token of all has kind `end`."""

    kind: Literal["number", "name", "operator", "end"]
    text: str
    start: int
    end: int


def inside(text: str, base: Span | None, start: int, end: int) -> Span | None:
    """The span of text[start:end] where `base` is the span of all of `text`.

    Falls back to `base` where quotes with escapes or line breaks hide the columns.
    """
    if base is None or base.line != base.end_line or "\n" in text:
        return base
    quotes, odd = divmod(base.end_column - base.column - len(text), 2)
    if odd or quotes not in (0, 1):
        return base
    first = base.column + quotes
    return replace(base, column=first + start, end_column=first + max(end, start + 1))


class Scanner:
    """A cursor over the tokens of one expression; `code` marks its syntax errors."""

    def __init__(self, text: str, span: Span | None, code: str, what: str) -> None:
        self.text, self.span, self.code, self.what = text, span, code, what
        self.tokens = self._split()
        self.position = 0
        self.depth = self.operators = 0

    def _split(self) -> list[Token]:
        if len(self.text) > MAX_LENGTH:
            message = f"{self.what} of {len(self.text)} characters; at most {MAX_LENGTH} are read"
            raise MmspecError(Diagnostic("MM200", message, self.span))
        tokens: list[Token] = []
        at = _end_of_space(self.text, 0)
        while at < len(self.text):
            token = self._token(at)
            tokens.append(token)
            at = _end_of_space(self.text, token.end)
        tokens.append(Token("end", "", len(self.text.rstrip()), len(self.text)))
        return tokens

    def _token(self, at: int) -> Token:
        match = _OF_PAIR.match(self.text, at) if self.what == "pair" else None
        match = match or _TOKEN.match(self.text, at)
        if match is None:
            character = self.text[at]
            shown = f"`{character}`" + (f" (U+{ord(character):04X})" if character > "~" else "")
            wrong = Token("end", character, at, at + 1)
            plain = MADE_OF.get(self.what, "") if character <= "~" else ""
            advice = _ADVICE.get(character) or plain or "expressions are plain ASCII"
            self.fail(f"{self.what} cannot hold the character {shown}", advice, wrong, "MM200")
        if other := _OTHER_BASE.match(self.text, at):
            advice = f"write {int(other[0], 0)}" if len(other[0]) < MAX_EXPONENT else ""
            wrong = Token("number", other[0], at, other.end())
            self.fail(f"`{shortened(other[0])}` is not decimal", advice, wrong)
        kind: Any = match.lastgroup
        return Token(kind, match[0], at, match.end())

    @property
    def next(self) -> Token:
        """The token under the cursor."""
        return self.tokens[self.position]

    @property
    def after(self) -> Token:
        """The token after the one under the cursor."""
        return self.tokens[min(self.position + 1, len(self.tokens) - 1)]

    def take(self) -> Token:
        """The token under the cursor, which moves on."""
        token = self.next
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def accept(self, *texts: str) -> Token | None:
        """Take the token if it is one of the texts."""
        token = self.tokens[self.position]
        return self.take() if token.text in texts and token.kind != "end" else None

    def expect(self, text: str, advice: str = "") -> Token:
        """Take the token, which must be this text."""
        return self.accept(text) or self.fail(f"expected `{text}`{self.found()}", advice)

    def name(self, what: str, advice: str = "") -> Token:
        """Take a name."""
        if self.next.kind == "name":
            return self.take()
        self.fail(f"expected {what}{self.found()}", advice)

    def finish(self, advice: str = "") -> None:
        """Refuse anything that is left."""
        if self.next.kind != "end":
            self.fail(f"unexpected `{self.next.text}` after the {self.what}", advice)

    def found(self) -> str:
        """How a message says what stands under the cursor."""
        return ", but the text ends" if self.next.kind == "end" else f", not `{self.next.text}`"

    def nested(self, parse: Callable[[], Node]) -> Node:
        """Parse one level deeper, within the limit on depth."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"the {self.what} is nested more than {MAX_DEPTH} deep", code="MM200")
        node = parse()
        self.depth -= 1
        return node

    def spend(self) -> None:
        """Count an operator that makes the tree deeper, within the same limit."""
        self.operators += 1
        if self.operators > MAX_DEPTH:
            self.fail(f"the {self.what} has more than {MAX_DEPTH} operators", code="MM200")

    def fail(
        self,
        message: str,
        advice: str | Callable[[], str] = "",
        token: Token | None = None,
        code: str = "",
    ) -> NoReturn:
        """Raise a diagnostic that points at the token (default: the one under the cursor)."""
        at = token or self.next

        def found() -> Diagnostic:
            span = inside(self.text, self.span, at.start, at.end)
            said = advice if isinstance(advice, str) else advice()
            return Diagnostic(code or self.code, message, span, help=said)

        raise MmspecError(found)

    def whole(self, what: str, advice: str = "") -> int:
        """Take a whole number written in digits."""
        token = self.next
        if token.kind != "number":
            self.fail(f"expected {what}{self.found()}", self._finite() or advice)
        if token.text.isdigit():
            return int(self.take().text)
        value = self.decimal()
        if value.denominator != 1:
            self.fail(f"`{token.text}` is no whole number", advice, token)
        return int(value)

    def decimal(self) -> Fraction:
        """Take a number in decimal notation, exactly."""
        if self.next.kind != "number":
            self.fail(f"expected a number{self.found()}", self._finite())
        token = self.take()
        mantissa, _, exponent = token.text.lower().partition("e")
        if "_" in mantissa:
            self.fail(
                f"`{token.text}` has underscores", f"write {mantissa.replace('_', '')}", token
            )
        if len(exponent) > 4 or abs(int(exponent or 0)) > MAX_EXPONENT:
            advice = f"write a number with an exponent from -{MAX_EXPONENT} to {MAX_EXPONENT}"
            self.fail(f"the exponent of `{token.text}` is beyond {MAX_EXPONENT}", advice, token)
        return Fraction(token.text)

    def _finite(self) -> str:
        """What to write where infinity or not-a-number stands."""
        word = self.next.text.lower()
        return "write a finite number, in digits" if word in NOT_FINITE else ""

    def rational(self) -> Fraction:
        """Take `decimal` or `decimal / decimal`, exactly."""
        value = self.decimal()
        if self.accept("/"):
            token = self.next
            divisor = self.decimal()
            if not divisor:
                self.fail("division by zero", token=token)
            value /= divisor
        return value


def _end_of_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def did_you_mean(word: str, known: Collection[str], what: str) -> str:
    """Help for an unknown word: what it means elsewhere, the near one, or all there are."""
    close = words.meant(word, known) or suggest(word, known)
    if close:
        return f"did you mean `{close}`?"
    return f"{what}: {listed(known)}" if known else f"there are no {what}"


def write(value: Fraction | int) -> str:
    """The shortest exact text that `rational` reads back: decimal where that ends, else p/q."""
    value = Fraction(value)
    digits = 0
    while (value * 10**digits).denominator != 1 and digits < MAX_EXPONENT:
        digits += 1
    scaled = value * 10**digits
    if scaled.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    text = str(int(scaled)).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text
