"""Judge a trained model by data that says what is right, as at the end of training.

mmspec evaluate runs/gated --data new.csv
"""

from __future__ import annotations

import argparse
from typing import Final

from mmspec.cli import exits, figures, given, output, waiting

NAME: Final = "evaluate"
SUMMARY: Final = "a trained model's figures over a data set"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    given.options(parser)
    parser.add_argument(
        "--data", metavar="NAME|FILE", required=True, help="a built-in data set, or a manifest"
    )
    parser.add_argument(
        "--split",
        choices=("held-out", "train", "all"),
        help="rows that count (default: held-out where the data has a split or is that of the "
        "training, else all)",
    )
    given.outside(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures, a row a condition."""
    using = given.loaded(arguments, f"reading {arguments.data}")
    with waiting.shown(f"reading {arguments.data}") as wait:
        found = using.evaluate(
            arguments.data,
            split=arguments.split,
            allow_outside=arguments.allow_outside,
            report=wait.report,
        )
    if arguments.json:
        output.machine({"split": found.split, "rows": found.rows, "figures": found.table})
        return exits.FINE
    rows = {"all": "all rows", "train": "rows of training", "held-out": "held-out rows"}
    print(f"{found.rows:,} {rows[found.split]}", "", sep="\n")
    print(*figures.table(found.table, ""), sep="\n")
    return exits.FINE
