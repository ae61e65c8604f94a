"""Check that specs are valid; say where and how to mend them where they are not."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from mmspec.cli import exits, output

if TYPE_CHECKING:
    from mmspec.diagnostics import Diagnostic
    from mmspec.schema.spec import Spec

NAME: Final = "check"
SUMMARY: Final = "check that specs are valid"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("specs", nargs="+", metavar="SPEC", help="a spec file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 where every spec is valid, 1 where one is not, 2 where one cannot be read."""
    results = {path: _check(path) for path in dict.fromkeys(arguments.specs)}
    if arguments.json:
        _print_json(results)
    else:
        _print(results)
    codes = {d.code for _, found in results.values() for d in found}
    if "MM001" in codes:
        return exits.USAGE
    return exits.PROBLEMS if codes else exits.FINE


def _check(path: str) -> tuple[Spec | None, tuple[Diagnostic, ...]]:
    """The spec, or what is wrong with it."""
    from mmspec import text
    from mmspec.diagnostics import MmspecError
    from mmspec.schema.validate import validate

    try:
        return validate(text.read(path)), ()
    except MmspecError as error:
        return None, error.diagnostics


def _print(results: dict[str, tuple[Spec | None, tuple[Diagnostic, ...]]]) -> None:
    from mmspec import diagnostics

    for path, (spec, found) in results.items():
        if spec is not None:
            print(f"{path}: fine ({_about(spec)})")
        else:
            text = diagnostics.render(found, color=output.is_colored(sys.stderr))
            print(text, end="\n\n", file=sys.stderr, flush=True)
            print(f"{path}: {output.plural(len(found), 'problem')}")


def _about(spec: Spec) -> str:
    counts = {
        "modality": len(spec.modalities),
        "stream": len(spec.streams),
        "head": len(spec.heads),
    }
    text = ", ".join(output.plural(count, noun) for noun, count in counts.items())
    return text.replace("modalitys", "modalities")


def _print_json(results: dict[str, tuple[Spec | None, tuple[Diagnostic, ...]]]) -> None:
    from mmspec import diagnostics

    rows: list[dict[str, Any]] = [
        {"path": path, "valid": spec is not None, "errors": diagnostics.as_json(found)}
        for path, (spec, found) in results.items()
    ]
    output.machine({"specs": rows})
