"""Quantities: a number and a unit, such as `100 Hz` or `500 ms`; exact.

quantity := decimal ["/" decimal] unit
unit     := "Hz" | "kHz" | "s" | "ms" | "us" | "min"
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from mmspec.diagnostics import Span
from mmspec.expressions.scanner import Scanner, did_you_mean, write

RATES: Final = {"Hz": Fraction(1), "kHz": Fraction(1000)}
DURATIONS: Final = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "us": Fraction(1, 1_000_000),
    "min": Fraction(60),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value in a unit, as written."""

    value: Fraction
    unit: str

    def __str__(self) -> str:
        return f"{write(self.value)} {self.unit}"


def parse(text: str, span: Span | None = None) -> Quantity:
    """Read a quantity in any unit; raises MmspecError MM210."""
    return _whole_text(text, span, RATES | DURATIONS)


def parse_rate(text: str, span: Span | None = None) -> Fraction:
    """Read a rate above zero, in hertz; raises MmspecError MM210."""
    quantity = _whole_text(text, span, RATES)
    if not quantity.value:
        Scanner(text, span, "MM210", "quantity").fail("a rate is above zero")
    return quantity.value * RATES[quantity.unit]


def parse_duration(text: str, span: Span | None = None) -> Fraction:
    """Read a duration, in seconds; raises MmspecError MM210."""
    quantity = _whole_text(text, span, DURATIONS)
    return quantity.value * DURATIONS[quantity.unit]


def write_duration(seconds: Fraction) -> str:
    """The text of a duration in seconds that `parse_duration` reads back."""
    for unit in ("s", "ms", "us"):
        if (seconds / DURATIONS[unit]).denominator == 1:
            return str(Quantity(seconds / DURATIONS[unit], unit))
    return str(Quantity(seconds, "s"))


def take(scanner: Scanner, units: dict[str, Fraction]) -> Quantity:
    """Take a number and one of the units from a scanner."""
    start = scanner.next
    value = scanner.rational()
    token = scanner.next
    if token.kind != "name":
        number = scanner.text[start.start : scanner.tokens[scanner.position - 1].end]
        advice = f"write `{number} {next(iter(units))}`, with one of {', '.join(units)}"
        scanner.fail(f"`{number}` has no unit", advice, start, "MM210")
    if token.text not in units:
        advice = did_you_mean(token.text, units, "units here")
        scanner.fail(f"`{token.text}` is no unit here", advice, token, "MM210")
    scanner.take()
    return Quantity(value, token.text)


def _whole_text(text: str, span: Span | None, units: dict[str, Fraction]) -> Quantity:
    scanner = Scanner(text, span, "MM210", "quantity")
    quantity = take(scanner, units)
    scanner.finish(f"write one number and one of {', '.join(units)}")
    return quantity
