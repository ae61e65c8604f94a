"""What a number is in text: one rule for every kind of file.

ASCII digits with a sign, a point and an exponent where wanted, blanks around it, or `nan` and
`inf` (which are refused as values, with their place). `1_000` is text, in every kind of file.
"""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

_NUMERAL: Final = re.compile(
    r"(?P<whole>[+-]?\d+)|[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)",
    re.ASCII | re.IGNORECASE,
)
_BETWEEN_THOUSANDS: Final = re.compile(r"(?<=\d)[\s'\u2019_](?=\d{3}(?!\d))")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:[.,]\d{3})+", re.ASCII)
_NO_MARKS: Final = str.maketrans("", "", ",.")
_LIKE_THOUSANDS: Final = re.compile(r"\D*\d{1,3},\d{3}")
_SHOWN: Final = 40
"""Characters of a text that is told how to be written."""
LONGEST: Final = 4000
"""Digits of a whole number, at most: Python reads no more than 4,300."""


def number(text: str) -> int | float | None:
    """The number that a text is, an int where only digits are written; else None."""
    stripped = text.strip()
    match = _NUMERAL.fullmatch(stripped)
    if match is None:
        return None
    return int(stripped) if match["whole"] and len(stripped) <= LONGEST else float(stripped)


def remedy(text: str) -> str:
    """How to write what people write as a number and is none here: `1,5`, `1.234,5`, `−2`."""
    if len(text) > _SHOWN:
        return ""
    plain = _BETWEEN_THOUSANDS.sub("", text.strip().replace("\N{MINUS SIGN}", "-"))
    before, mark, after = plain.rpartition(max(",.", key=plain.rfind))
    if mark and mark in before:
        before, mark, after = plain, "", ""
    if not {*before}.isdisjoint(",.") and not _GROUPED.fullmatch(before):
        return ""
    found = before.translate(_NO_MARKS) + mark.replace(",", ".") + after
    value = number(found)
    if value is None or found == text.strip() or not math.isfinite(value):
        return ""
    other = f" (or {found.replace('.', '')})" if _LIKE_THOUSANDS.fullmatch(plain) else ""
    return f"write {found}{other}: a number has a point before its decimals, and no other marks"


def whole(value: object) -> int | None:
    """The whole number that a value is: `1`, `1.0`, `"1"` and `" 1.0"` are 1; else None.

    true and false are none, nor is text that says so.
    """
    found = number(value) if isinstance(value, str) else value
    if isinstance(found, float | np.floating):
        return int(found) if found.is_integer() else None
    is_whole = isinstance(found, int | np.integer) and not isinstance(found, bool)
    return int(found) if is_whole else None  # type: ignore[call-overload]


def as_json(text: str) -> int:
    """A whole number of JSON; ValueError where it has too many digits."""
    if len(text) > LONGEST:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)
