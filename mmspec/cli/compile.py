"""Compile a spec into a Python package that imports torch and nothing of mmspec."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from mmspec.cli import exits, output

NAME: Final = "compile"
SUMMARY: Final = "compile a spec into a Python package"
STEPS: Final = "read, validate, lower, emit"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        default=".",
        help="the folder that gets the package, under the spec's name (default: here)",
    )
    parser.add_argument(
        "--stop-after",
        metavar="STEP",
        help=f"write nothing; print what this step gives, as text ({STEPS})",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace a folder of that name that mmspec did not write, or that was edited",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the package and say where, or print an intermediate."""
    with output.waiting(f"compiling {arguments.spec}"):
        from mmspec.compiler import driver  # noqa: PLC0415 - lazy

        if arguments.stop_after is not None:
            text = driver.show(driver.run(arguments.spec, stop_after=arguments.stop_after))
        else:
            emitted = driver.run(arguments.spec)
            text = f"wrote {driver.write(emitted, Path(arguments.output))}"
    print(text)
    return exits.FINE
