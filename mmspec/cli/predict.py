"""Say what a trained model makes of values: classes, numbers, text, or the nearest rows.

    mmspec predict runs/gated text="red apple"
    mmspec predict runs/gated --data new.csv --format csv > answers.csv

Columns are named like the modalities; targets need not be there.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, figures, given, output, waiting

if TYPE_CHECKING:
    from mmspec.inference.run import Prediction

NAME: Final = "predict"
SUMMARY: Final = "what a trained model says of new data"
_WIDEST: Final = 40


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    given.options(parser)
    given.values(parser)
    parser.add_argument("--data", metavar="FILE", help="a manifest: a row a sample")
    parser.add_argument(
        "--format", choices=("table", "jsonl", "csv"), default="table", help="default: table"
    )
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="classes and rows named (default: 5)"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=32,
        metavar="N",
        help="tokens that a language model writes on (default: 32)",
    )
    given.outside(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print an answer a row."""
    parser = arguments.parser
    if bool(arguments.data) == bool(arguments.values):
        parser.error("give --data FILE, or values as NAME=VALUE")
    for name in ("top", "tokens"):
        if getattr(arguments, name) < 1:
            parser.error(f"argument --{name}: at least 1, not {getattr(arguments, name)}")
    row = given.row(arguments.values, parser)
    using = given.loaded(arguments, "reading the data")
    if unknown := [n for n in row if n.partition(".")[0] not in using.spec.modalities]:
        parser.error(f"no modality `{unknown[0]}`; there is {', '.join(using.spec.modalities)}")
    with waiting.shown("reading the data") as wait:
        found = using.predict(
            arguments.data or [row],
            top=arguments.top,
            tokens=arguments.tokens,
            allow_outside=arguments.allow_outside,
            report=wait.report,
        )
    write = {"table": _table, "jsonl": _lines, "csv": _csv}[arguments.format]
    write(found)
    return exits.FINE


def _lines(found: Iterable[Prediction]) -> None:
    """A JSON object a row: `row`, then each head."""
    for each in found:
        answers = {name: answer.plain() for name, answer in each.answers.items()}
        print(json.dumps({"row": each.row, **answers}, ensure_ascii=False))


def _csv(found: list[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows(_cells(found))


def _table(found: list[Prediction]) -> None:
    """Rows under their heads' names, long text cut; of one row all that is named of it."""
    if len(found) == 1 and found[0].answers:
        print(*_of_one(found[0]), sep="\n")
        return
    head, *rows = _cells(found)
    cells = [[_shown(cell) for cell in row] for row in rows]
    print(*figures.aligned([[str(cell) for cell in head], *cells]), sep="\n")


def _of_one(found: Prediction) -> Iterable[str]:
    """All that each head names, a line each: the head, what is named, and its figure."""
    rows = [
        (name, key, value if isinstance(value, str) else figures.number(value))
        for name, answer in found.answers.items()
        for key, value in answer.rows()
    ]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for name, key, said in rows:
        cells = (name.ljust(widths[0]), *([key.ljust(widths[1])] if key else []), said)
        yield output.encodable("  ".join(cells), sys.stdout)


def _cells(found: list[Prediction]) -> list[list[str | float]]:
    """A header, and a row a prediction; an empty cell where a head says nothing."""
    columns = dict.fromkeys(
        (name, key) for each in found for name, a in each.answers.items() for key in a.cells()
    )
    heads: list[str | float] = ["row", *(f"{n} {key}".rstrip() for n, key in columns)]
    return [heads, *([each.row, *_row(each, columns)] for each in found)]


def _row(each: Prediction, columns: Iterable[tuple[str, str]]) -> Iterable[str | float]:
    cells = {name: answer.cells() for name, answer in each.answers.items()}
    return (cells.get(name, {}).get(key, "") for name, key in columns)


def _shown(cell: str | float) -> str:
    """A cell of a table in one line of a terminal."""
    if not isinstance(cell, str):
        return figures.number(cell)
    text = "".join(letter if letter.isprintable() else "\N{MIDDLE DOT}" for letter in cell)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}\N{HORIZONTAL ELLIPSIS}"
