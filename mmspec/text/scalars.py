"""What an unquoted YAML scalar means: the core schema of YAML 1.2, less its other bases."""

from __future__ import annotations

import re
from typing import Final

Scalar = str | int | float | bool | None

_CONSTANTS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_DIGITS: Final = 40

_WORDS: Final = {
    **dict.fromkeys(("yes", "on", "y"), "true"),
    **dict.fromkeys(("no", "off", "n"), "false"),
    "none": "null",
    "nil": "null",
}
_NO_NUMBERS: Final = ("inf", "infinity", "nan")
_GROUPED = r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+|[-+]?[0-9]+(?:_[0-9]+)+"
_BASE = r"0o[0-7]+|0x[0-9a-fA-F]+|0b[01]+"
_ZEROS = r"([-+]?)0+([0-9]+(?:\.[0-9]*)?)"
_CLOCK = r"[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"
_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"
_QUOTIENT = r"([0-9]+(?:\.[0-9]+)?) ?/ ?([0-9]+(?:\.[0-9]+)?)"
_COMMA = r"([-+]?(?:0|[1-9][0-9]*)),([0-9]+)"
_PERCENT = r"([0-9]+(?:\.[0-9]+)?) ?%"


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar; ValueError where it is a number that is not finite."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("infinity and not-a-number are no values of a spec")
    if _INT.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise ValueError(f"a number of more than {_MAX_DIGITS} digits")
        return int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError("the number is too large for a float")
        if value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
            raise ValueError("the number is too small for a float")
        return value
    return text


def hint(text: str) -> str | None:
    """Why a text that looks like another value is text, and what to write; None if it doesn't."""
    if text.lower().lstrip("+-") in _NO_NUMBERS:
        return f"`{text}` is no number of a spec; write one in digits"
    if text.lower() in _WORDS:
        return f"`{text}` is text in YAML 1.2; write {_WORDS[text.lower()]}"
    number = _number_meant(text)
    if number is not None:
        return f"`{text}` is text in YAML 1.2; write {number}"
    if re.fullmatch(_CLOCK, text):
        return f"`{text}` is text in YAML 1.2; write a plain number, with its unit if it has one"
    if re.fullmatch(_DATE, text):
        return f"`{text}` is text: a spec has no dates"
    if text and needs_quotes(text):
        return f"`{text}` in quotes is text; write it without quotes"
    return None


def _number_meant(text: str) -> str | None:
    """The decimal number that a person meant by another notation, as text."""
    if len(text) > _MAX_DIGITS:
        return None
    if re.fullmatch(_GROUPED, text):
        return text.replace(",", "").replace("_", "")
    if re.fullmatch(_BASE, text):
        return str(int(text, 0))
    if match := re.fullmatch(_ZEROS, text):
        return match[1] + match[2]
    if match := re.fullmatch(_PERCENT, text):
        return f"{float(match[1]) / 100:g}"
    if match := re.fullmatch(_QUOTIENT, text):
        return f"{float(match[1]) / float(match[2]):g}" if float(match[2]) else None
    if match := re.fullmatch(_COMMA, text):
        return f"{match[1]}.{match[2]}"
    return None


def needs_quotes(text: str) -> bool:
    """Whether the text, written without quotes, would be another value than text."""
    try:
        return not isinstance(resolve(text), str)
    except ValueError:
        return True
