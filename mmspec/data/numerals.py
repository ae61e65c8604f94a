"""What a number is in text: one rule for every kind of file.

ASCII digits with a sign, a point and an exponent where wanted, blanks around it, or `nan` and
`inf` (which are refused as values, with their place). `1_000` is text, in every kind of file.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

_NUMERAL: Final = re.compile(
    r"(?P<whole>[+-]?\d+)|[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)",
    re.ASCII | re.IGNORECASE,
)
LONGEST: Final = 4000
"""Digits of a whole number, at most: Python reads no more than 4,300."""


def number(text: str) -> int | float | None:
    """The number that a text is, an int where only digits are written; else None."""
    stripped = text.strip()
    match = _NUMERAL.fullmatch(stripped)
    if match is None:
        return None
    return int(stripped) if match["whole"] and len(stripped) <= LONGEST else float(stripped)


def whole(value: object) -> int | None:
    """The whole number that a value is: `1`, `1.0`, `"1"` and `" 1.0"` are 1; else None."""
    found = number(value) if isinstance(value, str) else value
    if isinstance(found, float | np.floating):
        return int(found) if found.is_integer() else None
    return int(found) if isinstance(found, int | np.integer | np.bool_) else None


def as_json(text: str) -> int:
    """A whole number of JSON; ValueError where it has too many digits."""
    if len(text) > LONGEST:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)
