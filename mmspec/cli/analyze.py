"""Parameters, FLOPs and activation bytes of a spec, as closed forms in batch and lengths."""

from __future__ import annotations

import argparse
from typing import Final

from mmspec.cli import exits, output, waiting

NAME: Final = "analyze"
SUMMARY: Final = "count parameters, FLOPs and bytes as closed forms"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    with waiting.shown(f"analyzing {arguments.spec}"):
        from mmspec.compiler import driver

        plan = driver.run(arguments.spec, stop_after="lower")
        from mmspec.verify.analyze import analyze

        analysis = analyze(plan)
        figures = analysis.as_dict() if arguments.json else {}
    if arguments.json:
        output.machine(figures)
    else:
        from mmspec.cli import console

        analysis.render(console.stdout())
    return exits.FINE
