"""Mask expressions.

mask    := term ("|" term)*
term    := factor ("&" factor)*
factor  := "~" factor | "(" mask ")" | NAME ["(" [argument ("," argument)*] ")"]
argument:= [NAME "="] (whole number | duration | NAME)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from mmspec.diagnostics import MmspecError, Span, shortened
from mmspec.expressions import quantity
from mmspec.expressions.mask_arguments import SIGNATURES, Call, Value
from mmspec.expressions.scanner import Scanner, did_you_mean

__all__ = [
    "LATER",
    "SIGNATURES",
    "And",
    "Mask",
    "Not",
    "Or",
    "Pattern",
    "Value",
    "parse",
    "parse_pair",
    "patterns",
    "unparse",
]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A named pattern with all its arguments, defaults included, in the signature's order."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    def get(self, name: str) -> Value:
        """The argument of that name; KeyError where the pattern has none."""
        return dict(self.arguments)[name]

    def size(self, name: str) -> int:
        """The argument of that name, which is a whole number."""
        value = self.get(name)
        assert isinstance(value, int)
        return value


@dataclass(frozen=True, slots=True)
class And:
    """Visible where both are."""

    left: Mask
    right: Mask


@dataclass(frozen=True, slots=True)
class Or:
    """Visible where either is."""

    left: Mask
    right: Mask


@dataclass(frozen=True, slots=True)
class Not:
    """Visible where the operand is not."""

    operand: Mask


Mask = Pattern | And | Or | Not

LATER: Final = frozenset({"learned", "routed"})
"""Patterns that depend on what tokens hold: they have a place here, and are not compiled yet."""


_SIGNS: Final = (
    (r" ?(?:(?:&&?|\band\b) ?)?(?:[-\\\u2216]|\b(?:minus|except|without|but not)\b) ?", " & ~"),
    (r" ?(?:&&|\band\b|[\u2227\u2229*]) ?", " & "),
    (r" ?(?:\|\||\bor\b|[\u2228\u222a+]) ?", " | "),
    (r"(?:!|\bnot\b|\u00ac) ?", "~"),
)
"""How other languages and papers write our signs."""


def parse(text: str, span: Span | None = None) -> Mask:
    """Read a mask expression; raises MmspecError MM200, MM220 to MM222 or MM401."""
    try:
        return _Parser(text, span).mask()
    except MmspecError as error:
        raise _with_our_signs(text, error) from None


def _with_our_signs(text: str, error: MmspecError) -> MmspecError:
    """The same, and what to write where the text is a mask but for the signs of others."""
    written = " ".join(text.split())
    for theirs, ours in _SIGNS:
        written = re.sub(theirs, ours, written, flags=re.IGNORECASE).removeprefix(" & ")
    try:
        _Parser(written, None).mask()
    except MmspecError:
        return error
    (found,) = error.diagnostics
    return MmspecError(replace(found, help=f"write `{shortened(written)}`"))


def parse_pair(text: str, span: Span | None = None) -> tuple[str, str]:
    """Read `text -> image` as (query, key); raises MmspecError MM223."""
    scanner = Scanner(text, span, "MM223", "pair")
    advice = "write a pair such as `text -> image`: text sees image"
    query = scanner.name("the name of a segment", advice)
    scanner.expect("->", advice)
    key = scanner.name("the name of a segment", advice)
    scanner.finish(advice)
    return query.text, key.text


def unparse(mask: Mask) -> str:
    """The canonical text of a mask: every argument by name, no parentheses that are not needed."""
    return _write(mask, 0)


def patterns(mask: Mask) -> tuple[Pattern, ...]:
    """The patterns of a mask, in the order they are written."""
    if isinstance(mask, Pattern):
        return (mask,)
    if isinstance(mask, Not):
        return patterns(mask.operand)
    return patterns(mask.left) + patterns(mask.right)


def _write(mask: Mask, tightness: int) -> str:
    """Text of a mask within an operator that binds as tightly as this (1 `|`, 2 `&`, 3 `~`)."""
    if isinstance(mask, Pattern):
        given = ", ".join(f"{name}={_write_value(value)}" for name, value in mask.arguments)
        return f"{mask.name}({given})" if given else mask.name
    if isinstance(mask, Not):
        return f"~{_write(mask.operand, 3)}"
    own, sign = (1, "|") if isinstance(mask, Or) else (2, "&")
    text = f"{_write(mask.left, own)} {sign} {_write(mask.right, own + 1)}"
    return f"({text})" if own < tightness else text


def _write_value(value: Value) -> str:
    return quantity.write_duration(value) if isinstance(value, Fraction) else str(value)


_JOINED: Final = "join patterns with ~ (not), & (and), | (or)"
_JOINS: Final = frozenset("and or not xor all any both either intersect intersection union".split())


def _advice(word: str) -> str:
    """What to write for what stands after a mask."""
    if word.lower() in ("^", "xor"):
        return "for what one of two sees and the other does not write `(a | b) & ~(a & b)`"
    return _JOINED


class _Parser:
    """Recursive descent over the grammar above."""

    def __init__(self, text: str, span: Span | None) -> None:
        self.scanner = Scanner(text, span, "MM220", "mask")

    def mask(self) -> Mask:
        mask = self._union()
        self.scanner.finish(_advice(self.scanner.next.text))
        return mask

    def _union(self) -> Mask:
        mask = self._intersection()
        while self.scanner.accept("|"):
            self.scanner.spend()
            mask = Or(mask, self._intersection())
        return mask

    def _intersection(self) -> Mask:
        mask = self._factor()
        while self.scanner.accept("&"):
            self.scanner.spend()
            mask = And(mask, self._factor())
        return mask

    def _factor(self) -> Mask:
        if self.scanner.accept("~"):
            self.scanner.spend()
            return Not(self.scanner.nested(self._factor))
        if self.scanner.accept("("):
            mask = self.scanner.nested(self._union)
            self.scanner.expect(")")
            return mask
        name = self.scanner.name("a pattern", f"patterns: {', '.join(SIGNATURES)}")
        if name.text in LATER:
            advice = f"compiled today: {', '.join(SIGNATURES)}"
            self.scanner.fail(f"mask `{name.text}` is not compiled yet", advice, name, "MM401")
        if name.text not in SIGNATURES:
            joins = name.text.lower() in _JOINS
            self.scanner.fail(
                f"`{name.text}` is no mask",
                lambda: _JOINED if joins else did_you_mean(name.text, SIGNATURES, "patterns"),
                name,
                "MM221",
            )
        return Pattern(name.text, Call(self.scanner, name).arguments())
