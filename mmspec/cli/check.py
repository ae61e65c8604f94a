"""Check that specs are valid; say where and how to mend them where they are not."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mmspec.cli import cache, exits, output

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
    codes = {d.code for result in results.values() for d in result.found}
    if "MM001" in codes:
        return exits.USAGE
    return exits.PROBLEMS if codes else exits.FINE


class Result(NamedTuple):
    """What a valid spec holds, in words, or what is wrong with it."""

    about: str
    found: tuple[Diagnostic, ...] = ()


def _check(path: str) -> Result:
    """The answer for one spec; a file that was found fine before is not read again."""
    if not os.path.isfile(path):  # a pipe can be read only once
        return _judge(path)
    try:
        with open(path, "rb") as file:
            entry = cache.key(file.read())
    except OSError:
        return _judge(path)
    known = cache.recall(entry)
    if known is not None:
        return Result(known)
    result = _judge(path)
    if not result.found:
        cache.remember(entry, result.about)
    return result


def _judge(path: str) -> Result:
    """Read and validate a spec."""
    from mmspec import text
    from mmspec.diagnostics import MmspecError
    from mmspec.schema.validate import validate

    try:
        return Result(_about(validate(text.read(path))))
    except MmspecError as error:
        return Result("", error.diagnostics)


def _print(results: dict[str, Result]) -> None:
    for path, result in results.items():
        if not result.found:
            print(f"{path}: fine ({result.about})")
            continue
        from mmspec import diagnostics

        text = diagnostics.render(result.found, color=output.is_colored(sys.stderr))
        print(text, end="\n\n", file=sys.stderr, flush=True)
        print(f"{path}: {output.plural(len(result.found), 'problem')}")


def _about(spec: Spec) -> str:
    counts = {
        "modality": len(spec.modalities),
        "stream": len(spec.streams),
        "head": len(spec.heads),
    }
    text = ", ".join(output.plural(count, noun) for noun, count in counts.items())
    return text.replace("modalitys", "modalities")


def _print_json(results: dict[str, Result]) -> None:
    from mmspec import diagnostics

    rows: list[dict[str, Any]] = [
        {"path": path, "valid": not result.found, "errors": diagnostics.as_json(result.found)}
        for path, result in results.items()
    ]
    output.machine({"specs": rows})
