"""Explain an error code such as MM012; without one, list them all."""

from __future__ import annotations

import argparse
from typing import Final

from mmspec.cli import exits, output

NAME: Final = "explain"
SUMMARY: Final = "explain an error code"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="an error code, such as MM012")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation; exit 2 where there is no such code."""
    from mmspec import diagnostics

    if arguments.code is None:
        for code, (title, _) in diagnostics.CODES.items():
            print(f"{code}  {title}")
        return exits.FINE
    text = diagnostics.explain(arguments.code)
    if arguments.code.upper() not in diagnostics.CODES:
        output.note(text)
        return exits.USAGE
    print(text)
    return exits.FINE
