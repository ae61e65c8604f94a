"""Held-out figures as a table: a row a condition, a column a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]


def table(figures: Figures, title: str = "held out") -> list[str]:
    """Condition -> head -> figure -> value, with the heads' figures side by side."""
    columns = list(dict.fromkeys(pair for row in figures.values() for pair in _pairs(row)))
    heads = [title, *(f"{head} {_words(figure)}" for head, figure in columns)]
    rows = [
        [name, *(number(row.get(head, {}).get(figure)) for head, figure in columns)]
        for name, row in figures.items()
    ]
    return aligned([heads, *rows])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as text: the first column to the left, the others to the right; the first row ruled."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_row(row, widths) for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    figures = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
    return "   ".join([row[0].ljust(widths[0]), *figures])


def _pairs(row: Mapping[str, Mapping[str, float]]) -> Iterable[tuple[str, str]]:
    return ((head, figure) for head, found in row.items() for figure in found)


def _words(figure: str) -> str:
    return figure.replace("_", " ")


def number(value: float | None) -> str:
    """Three decimals, none for a whole number, a dash where there is none."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def line(figures: Figures) -> str:
    """The figures of the first condition in one line."""
    row = next(iter(figures.values()), {})
    found = (f"{head} {_words(figure)} {number(row[head][figure])}" for head, figure in _pairs(row))
    return ", ".join(found)
