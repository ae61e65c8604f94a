"""List the laws that `mmspec verify` checks, each with what it says."""

from __future__ import annotations

import argparse
from typing import Final

from mmspec.cli import exits, output, waiting

NAME: Final = "laws"
SUMMARY: Final = "list the laws that verify checks"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print the laws as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print every law: id, statement, when it applies."""
    with waiting.shown("loading the laws"):
        from mmspec.verify import laws

        rows = [{"id": law.id, "statement": law.statement} for law in laws.LAWS]
    if arguments.json:
        output.machine({"laws": rows})
    else:
        for row in rows:
            print(f"{row['id']:<5} {row['statement']}")
    return exits.FINE
