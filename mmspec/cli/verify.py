"""Prove, test or refute what specs claim and what every model owes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import output, tested, waiting, writable

if TYPE_CHECKING:
    from mmspec.verify.report import Report

NAME: Final = "verify"
SUMMARY: Final = "prove, test or refute a spec's claims and the laws"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("specs", nargs="*", metavar="SPEC", help="a spec file")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report for CI")
    parser.add_argument("--examples", type=int, metavar="N", help="inputs to try for each law (50)")
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="seed of the inputs (0)")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="on a terminal, a row for each law"
    )
    parser.add_argument(
        "--law",
        action="append",
        metavar="ID",
        help="check this law only; may be repeated",
    )
    parser.add_argument(
        "--require",
        metavar="WAYS",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help="fail unless attention was tried by these: dense, calls, native, triton",
    )
    parser.add_argument(
        "--full", action="store_true", help="run a large spec itself, not a reduced twin of it"
    )
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="show that every law catches a fault planted for it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a report for each spec; exit 1 where anything is refuted."""
    from pathlib import Path

    if arguments.junit is not None:
        writable.check_file(Path(arguments.junit))
    if not arguments.self_test and not arguments.specs:
        raise _nothing_to_verify()
    tested.note_torch()
    if arguments.self_test:
        return _self_test(arguments)
    paths = tuple(dict.fromkeys(arguments.specs))
    _check_all(paths)
    reports = [_report(path, arguments) for path in paths]
    if arguments.junit is not None:
        from mmspec.verify.report import junit

        writable.write(Path(arguments.junit), junit(reports).encode())
    if arguments.json:
        output.machine({"reports": [report.as_dict() for report in reports]})
    return max(report.exit_code for report in reports)


def _check_all(paths: tuple[str, ...]) -> None:
    """Raise what is wrong with any of the specs, before the first is verified."""
    from mmspec.schema.validate import validate
    from mmspec.text import read

    for path in paths:
        validate(read(path))


def _report(path: str, arguments: argparse.Namespace) -> Report:
    """Verify one spec, and print its report unless a machine reads it."""
    with waiting.shown(f"verifying {path}") as wait:
        from mmspec.verify.verify import verify

        given: dict[str, Any] = {"seed": arguments.seed, "told": wait.report}
        given |= {"require": arguments.require, "full": arguments.full}
        if arguments.examples is not None:
            given["examples"] = arguments.examples
        if arguments.law:
            given["laws"] = tuple(arguments.law)
        report = verify(path, **given)
    if not arguments.json:
        from mmspec.cli import console

        report.render(console.stdout(), verbose=arguments.verbose or bool(arguments.law))
    return report


def _nothing_to_verify() -> Exception:
    from mmspec.diagnostics import Diagnostic, MmspecError

    advice = "`mmspec verify specs/gated.yaml`, or --self-test"
    return MmspecError(Diagnostic("MM607", "name a spec to verify", help=advice))


def _self_test(arguments: argparse.Namespace) -> int:
    """Show that every law catches its planted fault."""
    with waiting.shown("planting a fault for every law") as wait:
        from mmspec.verify.self_test import self_test

        report = self_test(tuple(arguments.law or ()), told=wait.report)
    if arguments.junit is not None:
        from pathlib import Path

        writable.write(Path(arguments.junit), report.junit().encode())
    if arguments.json:
        output.machine(report.as_dict())
    else:
        from mmspec.cli import console

        report.render(console.stdout())
    return int(report.exit_code)
