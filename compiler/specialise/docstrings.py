"""Docstrings of parts may hold constants as `{name}`; they are written as text that stays text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import replace

from mmspec.compiler.specialise.evaluate import NotStatic
from mmspec.compiler.specialise.source import Statement
from mmspec.compiler.specialise.unparse import LIMIT


class Parameter(str):
    """The name of a parameter, in the place of the constant that it takes."""


def document(statement: Statement, text: Callable[[str], object]) -> Statement:
    """A docstring with constants in the place of `{name}`; `text` raises NotStatic for others.

    A constant that has a name here (a `Parameter`) is that name.
    """

    def value(match: re.Match[str]) -> str:
        try:
            found = text(match[1])
        except NotStatic:
            return match[0]
        if not isinstance(found, Parameter):
            return quoted(found)
        before = match.string[: match.start()]
        return found if before.count("[") > before.count("]") else f"`{found}`"

    lines = tuple(re.sub(r"\{([a-z_][\w.]*)\}", value, line) for line in statement.lines)
    if lines == statement.lines:
        return statement
    wide = LIMIT - statement.column
    return replace(statement, lines=tuple(p for x in lines for p in _wrapped(x, wide)))


def quoted(value: object) -> str:
    """The text of a constant inside a docstring; it can neither end nor escape it."""
    if type(value) is tuple:
        return ", ".join(quoted(item) for item in value)
    text = f"{value:g}" if type(value) is float else str(value)
    return text.encode("unicode_escape").decode("ascii").replace('"', '\\"')


def _wrapped(line: str, width: int) -> list[str]:
    pad = line[: len(line) - len(line.lstrip())]
    if len(line) <= width:
        return [line]
    return textwrap.wrap(line, width, subsequent_indent=pad, break_long_words=False)
