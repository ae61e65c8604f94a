"""Held-out figures as a table: a row a condition, a column a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.table import Table

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]


def table(figures: Figures, title: str = "held-out data") -> Table:
    """Condition -> head -> figure -> value, with the heads' figures side by side."""
    columns = list(dict.fromkeys(pair for row in figures.values() for pair in _pairs(row)))
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("")
    for head, figure in columns:
        grid.add_column(f"{head}\n{figure.replace('_', ' ')}", justify="right")
    for condition, row in figures.items():
        values = (row.get(head, {}).get(figure) for head, figure in columns)
        grid.add_row(condition, *(number(value) for value in values))
    return grid


def _pairs(row: Mapping[str, Mapping[str, float]]) -> Iterable[tuple[str, str]]:
    return ((head, figure) for head, found in row.items() for figure in found)


def number(value: float | None) -> str:
    """Three decimals, none for a whole number, a dash where there is none."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def line(figures: Figures) -> str:
    """The figures of the first condition in one line."""
    row = next(iter(figures.values()), {})
    return ", ".join(
        f"{head} {figure.replace('_', ' ')} {number(row[head][figure])}"
        for head, figure in _pairs(row)
    )
