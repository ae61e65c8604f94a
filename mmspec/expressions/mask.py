"""Mask expressions.

mask    := term ("|" term)*
term    := factor ("&" factor)*
factor  := "~" factor | "(" mask ")" | NAME ["(" [argument ("," argument)*] ")"]
argument:= [NAME "="] (whole number | duration | NAME)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from operator import add
from typing import Final, TypeVar

from mmspec.diagnostics import MmspecError, Span, shortened
from mmspec.expressions import quantity
from mmspec.expressions.mask_arguments import Call, Value
from mmspec.expressions.mask_patterns import FREE, PATTERNS, Facts, Rule
from mmspec.expressions.scanner import Scanner, did_you_mean

__all__ = [
    "FULL",
    "LATER",
    "NONE",
    "And",
    "Mask",
    "Not",
    "Or",
    "Pattern",
    "Value",
    "complement",
    "drawn",
    "fold",
    "is_packed",
    "meet",
    "parse",
    "parse_pair",
    "patterns",
    "rewrite",
    "simplify",
    "union",
    "unparse",
    "write",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A named pattern with all its arguments, defaults included, in the signature's order."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    @property
    def facts(self) -> Facts:
        """What is true of a pattern of that name."""
        return PATTERNS[self.name]

    def get(self, name: str) -> Value:
        """The argument of that name; KeyError where the pattern has none."""
        return dict(self.arguments)[name]

    def size(self, name: str) -> int:
        """The argument of that name, which is a whole number."""
        value = self.get(name)
        assert isinstance(value, int)
        return value

    def along(self, axis: str = "token") -> Rule:
        """What it asks along an axis of a grid, or of the tokens of a line."""
        asks = self.facts.is_by_order if axis == "token" else self.facts.by == "grid"
        return self.facts.along(dict(self.arguments), axis) if asks else FREE

    @property
    def first(self) -> tuple[int, int] | None:
        """How many of the first queries see all, and of the first keys all see; None: not by it."""
        if self.facts.first is None:
            return None
        queries, keys = (self.size(name) if name else 0 for name in self.facts.first)
        return queries, keys

    @property
    def line(self) -> str | None:
        """The one axis of a grid along whose lines it shows all, and nothing else."""
        named = (p.name for p in self.facts.parameters if p.kind == "axis")
        return next((str(self.get(name)) for name in named), None)

    @property
    def is_windows(self) -> bool:
        """Whether it cuts a grid into windows, each of which sees itself."""
        return any(self.along(axis).size not in (None, 1) for axis in self.facts.axes)

    @property
    def is_deep(self) -> bool:
        """Whether it is of neighbours in several frames."""
        rule = self.along("frame")
        return rule.size is None and rule.reach is not None

    @property
    def slides(self) -> bool:
        """Whether what a query sees has an end on either side that moves on with it."""
        rules = [self.along(axis) for axis in self.axes or ("token",)]
        return self.facts.by == "clock" or any(
            rule.reach is not None and rule.size is None for rule in rules
        )

    @property
    def axes(self) -> frozenset[str]:
        """Axes of a grid that it asks for."""
        return self.facts.axes if self.line is None else frozenset({self.line})


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

FULL: Final = Pattern("full")
NONE: Final = Pattern("none")
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


def fold(
    mask: Mask,
    pattern: Callable[[Pattern], T],
    negate: Callable[[T], T],
    both: Callable[[T, T], T],
    either: Callable[[T, T], T],
    whole: Callable[[Mask], T | None] = lambda part: None,
) -> T:
    """What a mask is: of what each pattern is, what `~` makes of one, and `&` and `|` of two.

    whole: what a part is that is not to be taken apart; None: it is.
    """

    def of(part: Mask) -> T:
        known = whole(part)
        if known is not None:
            return known
        if isinstance(part, Pattern):
            return pattern(part)
        if isinstance(part, Not):
            return negate(of(part.operand))
        left, right = of(part.left), of(part.right)
        return both(left, right) if isinstance(part, And) else either(left, right)

    return of(mask)


def patterns(mask: Mask) -> tuple[Pattern, ...]:
    """The patterns of a mask, in the order they are written."""

    def alone(pattern: Pattern) -> tuple[Pattern, ...]:
        return (pattern,)

    return fold(mask, alone, lambda operand: operand, add, add)


def drawn(mask: Mask) -> tuple[Pattern, ...]:
    """The patterns of a mask that draw blocks, each once."""
    return tuple(dict.fromkeys(one for one in patterns(mask) if one.facts.is_drawn))


@lru_cache(maxsize=4096)
def is_packed(mask: Mask) -> bool:
    """Whether a mask asks for the documents of tokens."""
    return any(one.facts.is_packed for one in patterns(mask))


def complement(mask: Mask) -> Mask:
    """`~` of a mask, without `full` and `none` inside."""
    if mask in (FULL, NONE):
        return NONE if mask == FULL else FULL
    return Not(mask)


def meet(one: Mask, other: Mask) -> Mask:
    """`&` of two masks, without `full` and `none` inside, nor the same mask on both sides."""
    if NONE in (one, other):
        return NONE
    if one == FULL or one == other:
        return other
    return one if other == FULL else And(one, other)


def union(one: Mask, other: Mask) -> Mask:
    """`|` of two masks, without `full` and `none` inside, nor the same mask on both sides."""
    if FULL in (one, other):
        return FULL
    if one == NONE or one == other:
        return other
    return one if other == NONE else Or(one, other)


def rewrite(mask: Mask, by: Callable[[Pattern], Mask]) -> Mask:
    """The simplified mask with another mask in place of each pattern."""
    return fold(mask, by, complement, meet, union)


def simplify(mask: Mask) -> Mask:
    """The mask without `full` and `none` inside, and with one of two sides that are the same."""
    return rewrite(mask, lambda pattern: pattern)


def unparse(mask: Mask) -> str:
    """The canonical text of a mask: every argument by name, no parentheses that are not needed."""
    return write(mask, _write_pattern)


_PATTERN, _TIGHTEST, _TIGHT, _LOOSE = 4, 3, 2, 1
"""How tightly a text holds together: of a pattern, of `~`, of `&`, of `|`."""


def write(mask: Mask, word: Callable[[Pattern], str], grouped: bool = True) -> str:
    """The text of a mask whose patterns are written as `word` says.

    grouped: parentheses also say which of several equal signs was written first.
    """

    def within(part: tuple[str, int], tightness: int) -> str:
        return f"({part[0]})" if part[1] < tightness else part[0]

    def joined(one: tuple[str, int], sign: str, other: tuple[str, int]) -> tuple[str, int]:
        own = _TIGHT if sign == "&" else _LOOSE
        return f"{within(one, own)} {sign} {within(other, own + grouped)}", own

    def alone(pattern: Pattern) -> tuple[str, int]:
        return word(pattern), _PATTERN

    text, _ = fold(
        mask,
        alone,
        lambda operand: (f"~{within(operand, _TIGHTEST)}", _TIGHTEST),
        lambda one, other: joined(one, "&", other),
        lambda one, other: joined(one, "|", other),
    )
    return text


def _write_pattern(pattern: Pattern) -> str:
    given = ", ".join(f"{name}={_write_value(value)}" for name, value in pattern.arguments)
    return f"{pattern.name}({given})" if given else pattern.name


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
        return self._joined("|", Or, self._intersection)

    def _intersection(self) -> Mask:
        return self._joined("&", And, self._factor)

    def _joined(self, sign: str, made: type[And | Or], part: Callable[[], Mask]) -> Mask:
        mask = part()
        while self.scanner.accept(sign):
            self.scanner.spend()
            mask = made(mask, part())
        return mask

    def _factor(self) -> Mask:
        if self.scanner.accept("~"):
            self.scanner.spend()
            return Not(self.scanner.nested(self._factor))
        if self.scanner.accept("("):
            mask = self.scanner.nested(self._union)
            self.scanner.expect(")")
            return mask
        name = self.scanner.name("a pattern", f"patterns: {', '.join(PATTERNS)}")
        if name.text in LATER:
            advice = f"compiled today: {', '.join(PATTERNS)}"
            self.scanner.fail(f"mask `{name.text}` is not compiled yet", advice, name, "MM401")
        if name.text not in PATTERNS:
            joins = name.text.lower() in _JOINS
            self.scanner.fail(
                f"`{name.text}` is no mask",
                lambda: _JOINED if joins else did_you_mean(name.text, PATTERNS, "patterns"),
                name,
                "MM221",
            )
        return Pattern(name.text, Call(self.scanner, name).arguments())
