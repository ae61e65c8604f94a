"""Commas inside parentheses do not end a value: `{attention: window(before=7, after=7)}`.

YAML's flow collections split there; here the pieces of an unquoted value whose parentheses are
still open are put together again, as they stand in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mmspec.diagnostics import Span
from mmspec.text.nodes import Node, ScalarNode

Item = TypeVar("Item")


def rejoined_pairs(
    pairs: Sequence[tuple[Node, Node]], lines: Sequence[str]
) -> list[tuple[Node, Node]]:
    """Pairs of a flow mapping; a piece that was cut off is a plain key without a value."""

    def piece(pair: tuple[Node, Node]) -> ScalarNode | None:
        key, value = pair
        empty = isinstance(value, ScalarNode) and value.plain and not value.text
        return key if empty and isinstance(key, ScalarNode) and key.plain else None

    whole = _rejoin(pairs, lambda pair: pair[1], piece, lines)
    return [(pair[0], value) for pair, value in whole]


def rejoined_items(items: Sequence[Node], lines: Sequence[str]) -> list[Node]:
    """Items of a flow sequence."""

    def piece(item: Node) -> ScalarNode | None:
        return item if isinstance(item, ScalarNode) and item.plain else None

    return [value for _, value in _rejoin(items, lambda item: item, piece, lines)]


def opened(text: str) -> bool:
    """Whether a parenthesis is still open."""
    return text.count("(") > text.count(")")


def _rejoin(
    items: Sequence[Item],
    value_of: Callable[[Item], Node],
    piece: Callable[[Item], ScalarNode | None],
    lines: Sequence[str],
) -> list[tuple[Item, Node]]:
    """Each item with its whole value; what cannot be closed stays as it is."""
    found: list[tuple[Item, Node]] = []
    at = 0
    while at < len(items):
        value, end = value_of(items[at]), at
        if isinstance(value, ScalarNode) and value.plain and opened(value.text):
            while opened(_between(value.span, _end(items[end], piece, value), lines)):
                if end + 1 == len(items) or piece(items[end + 1]) is None:
                    end = at
                    break
                end += 1
            if end > at:
                value = _whole(value, _end(items[end], piece, value), lines)
        found.append((items[at], value))
        at = end + 1
    return found


def _end(item: Item, piece: Callable[[Item], ScalarNode | None], first: ScalarNode) -> Span:
    last = piece(item)
    return first.span if last is None else last.span


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
