"""Tiles, wasted work and predicted speed of every attention, and the smallest changes that save.

Exit code 0 whatever is found; 2 where the spec or the lengths are at fault.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, output, waiting

if TYPE_CHECKING:
    from mmspec.compiler import ir

NAME: Final = "tune"
SUMMARY: Final = "advise on tiles, token order and masks of every attention"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file")
    parser.add_argument(
        "--lengths",
        metavar="NAME=N,...",
        help="lengths in tokens or frames, as text=4096,audio=2000 (the longest)",
    )
    parser.add_argument("--json", action="store_true", help="print the advice as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the advice."""
    with waiting.shown(f"looking at {arguments.spec}"):
        from mmspec.compiler import driver

        plan = driver.run(arguments.spec, stop_after="lower")
        given = _lengths(arguments.lengths or "", plan)
        from mmspec.verify.tune.report import tune

        report = tune(plan, given)
    if arguments.json:
        output.machine(report.as_dict())
    else:
        from mmspec.cli import console

        report.render(console.stdout())
    return exits.FINE


def _lengths(text: str, plan: ir.Plan) -> dict[str, int]:
    """`text=4096,audio=2000`, each of a modality that can be so long."""
    inputs, found = {item.name: item for item in plan.inputs}, {}
    for part in filter(None, text.split(",")):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if not (number.isascii() and number.isdecimal()):
            raise _wrong(f"`{part.strip()}` is no length", "write text=4096,audio=2000")
        if name not in inputs:
            raise _wrong(f"no modality is called `{name}`", f"modalities: {', '.join(inputs)}")
        if name in found:
            raise _wrong(f"the length of `{name}` is given twice", "write it once")
        found[name], most = int(number[:20]), inputs[name].longest
        if found[name] > (1 if most is None else most):
            known = "there (1) or absent (0)" if most is None else f"at most {most:,} long"
            raise _wrong(f"`{name}` is {known}", "lengths are in tokens or frames")
    return found


def _wrong(message: str, advice: str) -> Exception:
    from mmspec.diagnostics import Diagnostic, MmspecError

    return MmspecError(Diagnostic("MM618", message, where="--lengths", help=advice))
