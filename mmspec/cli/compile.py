"""Compile a spec into a Python package that imports torch and nothing of mmspec."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, waiting, writable

if TYPE_CHECKING:
    from mmspec.diagnostics import MmspecError

NAME: Final = "compile"
SUMMARY: Final = "compile a spec into a Python package"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="the package's folder (default: the spec's name, in this folder)",
    )
    parser.add_argument(
        "--stop-after",
        metavar="STEP",
        help="stop after a step and print what it made: read, validate, lower, emit or write",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="attention: auto (default: tiles where that pays), tiles (generated kernels for every "
        "mask that hides anything) or sdpa (all pairs under a mask)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a package that was edited by hand"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the package and say where, or print an intermediate."""
    with waiting.shown(f"compiling {arguments.spec}"):
        text = _compiled(arguments)
    print(text)
    return exits.FINE


def _compiled(arguments: argparse.Namespace) -> str:
    """What to print."""
    from mmspec.compiler import driver

    step, backend = arguments.stop_after or "write", arguments.backend or "auto"
    if step not in driver.STEPS:
        raise _unknown("step", step, driver.STEPS)
    if backend not in driver.BACKENDS:
        raise _unknown("backend", backend, driver.BACKENDS)
    if step != "write":
        made = driver.run(arguments.spec, stop_after=step, backend=backend)
        return driver.show(made).rstrip("\n")
    from pathlib import Path

    folder = Path(arguments.output or driver.run(arguments.spec, stop_after="validate").name)
    writable.check_folder(folder, beside=True)
    written = driver.run(arguments.spec, step, arguments.output, backend, arguments.force)
    return f"wrote {written}"


def _unknown(what: str, word: str, known: tuple[str, ...]) -> MmspecError:
    from mmspec.diagnostics import Diagnostic, MmspecError, suggest

    close = suggest(word, known)
    advice = f"did you mean `{close}`?" if close else f"one of: {', '.join(known)}"
    return MmspecError(Diagnostic("MM606", f"there is no {what} `{word}`", help=advice))
