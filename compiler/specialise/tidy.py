"""Generated source -> source laid out as by hand: long statements broken as black breaks them."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import lru_cache

from mmspec.compiler.specialise.source import Statement, parse_block
from mmspec.compiler.specialise.unparse import LIMIT, Printer
from mmspec.compiler.specialise.wrapping import render


@lru_cache(maxsize=1024)
def tidy(source: str) -> str:
    """Lay out a class or function; statements that fit keep their text."""
    lines = source.splitlines()
    statements = parse_block(ast.parse(source).body, lines)
    return "\n".join(render([_break(item) for item in statements], 0, Printer())) + "\n"


def _break(statement: Statement) -> Statement:
    """Forget the text of a statement with a line over the limit, so that it is laid out anew."""
    long = any(len(line) + statement.column > LIMIT for line in statement.lines)
    return replace(
        statement,
        lines=() if long else statement.lines,
        body=tuple(_break(item) for item in statement.body),
        orelse=tuple(_break(item) for item in statement.orelse),
    )
