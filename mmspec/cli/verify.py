"""Prove, test or refute what specs claim and what every model owes."""

from __future__ import annotations

import argparse
from typing import Final

from mmspec.cli import exits

NAME: Final = "verify"
SUMMARY: Final = "prove, test or refute a spec's claims and the laws"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("specs", nargs="*", metavar="SPEC", help="a spec file")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print a report a spec."""
    return exits.FINE
