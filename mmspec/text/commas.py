"""Commas inside parentheses do not end a value: `{attention: window(before=7, after=7)}`.

YAML's flow collections split there; here the pieces of an unquoted value whose parentheses are
still open are put together again, as they stand in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from mmspec.diagnostics import Span
from mmspec.text.nodes import Node, ScalarNode

Item = TypeVar("Item")

_SHOWN: Final = 200
"""So many characters of a value that is cut are looked at for its end."""


class Parentheses:
    """How many parentheses are open at any place of a text, counted once for all of it."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        ends = accumulate((len(line) + 1 for line in lines), initial=0)
        self.starts = tuple(ends)
        text = "\n".join(lines)
        found = [(match.start(), match[0] == "(") for match in re.finditer("[()]", text)]
        self.places = [place for place, _ in found]
        self.open = [0, *accumulate(1 if opens else -1 for _, opens in found)]

    def before(self, line: int, column: int) -> int:
        """Those open before a place; both count from 1."""
        return self.open[bisect_left(self.places, self.starts[line - 1] + column - 1)]

    def opened(self, span: Span) -> bool:
        """Whether a parenthesis is still open at the end of an unquoted value."""
        first = self.before(span.line, span.column)
        return self.before(span.end_line, span.end_column) > first

    def until_closed(self, span: Span) -> str:
        """The rest of a line from a value's start to the comma or bracket that should end it."""
        rest = self.lines[span.line - 1][span.column - 1 :][:_SHOWN]
        first = self.before(span.line, span.column)
        for match in re.finditer(r"[,\]}]", rest):
            if self.before(span.line, span.column + match.start()) <= first:
                return rest[: match.start()].rstrip()
        return rest.rstrip()


def rejoined_pairs(
    pairs: Sequence[tuple[Node, Node]], parentheses: Parentheses
) -> list[tuple[Node, Node]]:
    """Pairs of a flow mapping; a piece that was cut off is a plain key without a value."""

    def piece(pair: tuple[Node, Node]) -> ScalarNode | None:
        key, value = pair
        empty = isinstance(value, ScalarNode) and value.plain and not value.text
        return key if empty and isinstance(key, ScalarNode) and key.plain else None

    whole = _rejoin(pairs, lambda pair: pair[1], piece, parentheses)
    return [(pair[0], value) for pair, value in whole]


def rejoined_items(items: Sequence[Node], parentheses: Parentheses) -> list[Node]:
    """Items of a flow sequence."""

    def piece(item: Node) -> ScalarNode | None:
        return item if isinstance(item, ScalarNode) and item.plain else None

    return [value for _, value in _rejoin(items, lambda item: item, piece, parentheses)]


def _rejoin(
    items: Sequence[Item],
    value_of: Callable[[Item], Node],
    piece: Callable[[Item], ScalarNode | None],
    parentheses: Parentheses,
) -> list[tuple[Item, Node]]:
    """Each item with its whole value; what cannot be closed stays as it is."""
    if not parentheses.places:
        return [(item, value_of(item)) for item in items]
    ends = _ends(items, value_of, piece, parentheses)
    found: list[tuple[Item, Node]] = []
    at = 0
    while at < len(items):
        value, end = value_of(items[at]), ends[at]
        if end > at:
            last = piece(items[end])
            assert isinstance(value, ScalarNode) and last is not None
            value = _whole(value, last.span, parentheses.lines)
        found.append((items[at], value))
        at = end + 1
    return found


def _ends(
    items: Sequence[Item],
    value_of: Callable[[Item], Node],
    piece: Callable[[Item], ScalarNode | None],
    parentheses: Parentheses,
) -> list[int]:
    """For each item the one where its parentheses are closed, or itself.

    From the last item to the first; `lowest` holds those in reach at which fewer parentheses are
    open than at all between, so that each looks at no item twice.
    """
    ends = list(range(len(items)))
    lowest: list[tuple[int, int]] = []
    for at in reversed(ends):
        value = value_of(items[at])
        if at + 1 < len(items) and piece(items[at + 1]) is None:
            lowest.clear()
        if not isinstance(value, ScalarNode) or not value.plain:
            lowest.clear()
            continue
        first = parentheses.before(value.span.line, value.span.column)
        if parentheses.opened(value.span):
            place = bisect_left(lowest, first + 1, key=lambda found: found[0])
            if place:
                ends[at] = lowest[place - 1][1]
        own = piece(items[at])
        last = value.span if own is None else own.span
        left = parentheses.before(last.end_line, last.end_column)
        while lowest and lowest[-1][0] >= left:
            lowest.pop()
        lowest.append((left, at))
    return ends


def _whole(first: ScalarNode, last: Span, lines: Sequence[str]) -> ScalarNode:
    start = first.span
    span = Span(start.path, start.line, start.column, last.end_line, last.end_column)
    return ScalarNode(_between(start, last, lines), True, span)


def _between(first: Span, last: Span, lines: Sequence[str]) -> str:
    """The text from the start of one span to the end of another, its lines joined by blanks."""
    taken = list(lines[first.line - 1 : last.end_line])
    taken[-1] = taken[-1][: last.end_column - 1]
    taken[0] = taken[0][first.column - 1 :]
    return " ".join(line.strip() for line in taken)
