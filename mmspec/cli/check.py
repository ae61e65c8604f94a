"""Check that specs are valid; say where and how to mend them where they are not."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mmspec.cli import cache, exits, output

if TYPE_CHECKING:
    from mmspec.diagnostics import Diagnostic

NAME: Final = "check"
SUMMARY: Final = "check that specs are valid"
_MOST: Final = (1 << 20) + 1
"""Bytes that are read: one more than a spec may have."""


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
    """How many modalities, streams and heads a valid spec has; or what is wrong with it.

    notes: what is no error, but should be known.
    """

    counts: tuple[int, ...]
    notes: tuple[str, ...] = ()
    found: tuple[Diagnostic, ...] = ()


def _check(path: str) -> Result:
    """The answer for one spec; what was found fine before is not judged again.

    The file is read once: what is remembered is said of the bytes that were judged.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST)
    except (OSError, ValueError):
        return _judge(path)
    entry = cache.key(content)
    known = cache.recall(entry)
    if known is not None:
        return Result(known)
    result = _judge(path, content)
    if not (result.found or result.notes) and cache.key(content) == entry:
        cache.remember(entry, result.counts)
    return result


def _judge(path: str, content: bytes | None = None) -> Result:
    """Validate and lower what a file holds (None: what keeps it from being read is said)."""
    from mmspec import text
    from mmspec.compiler.lower.lower import lower
    from mmspec.compiler.lower.packing import notes
    from mmspec.diagnostics import MmspecError
    from mmspec.schema.validate import validate

    try:
        spec = validate(text.read(path) if content is None else text.decode(content, path))
        found = (f"line {n.span.line}: {n.text}" if n.span else n.text for n in notes(lower(spec)))
        return Result((len(spec.modalities), len(spec.streams), len(spec.heads)), tuple(found))
    except MmspecError as error:
        return Result((), found=error.diagnostics)


def _print(results: dict[str, Result]) -> None:
    for path, result in results.items():
        if not result.found:
            print(f"{_shown(path)}: fine ({_about(result.counts)})")
            for note in result.notes:
                print(f"note: {note}")
            continue
        text = output.encodable(output.rendered(result.found), sys.stderr)
        print(text, end="\n\n", file=sys.stderr, flush=True)
        print(f"{_shown(path)}: {output.plural(len(result.found), 'problem')}")


def _shown(path: str) -> str:
    """A path that cannot steer a terminal."""
    return path if path.isprintable() else ascii(path)


def _about(counts: tuple[int, ...]) -> str:
    pairs = zip(counts, ("modality", "stream", "head"), strict=True)
    text = ", ".join(output.plural(count, noun) for count, noun in pairs)
    return text.replace("modalitys", "modalities")


def _print_json(results: dict[str, Result]) -> None:
    from mmspec import diagnostics

    rows: list[dict[str, Any]] = [
        {
            "path": path,
            "valid": not result.found,
            "errors": diagnostics.as_json(result.found),
            "notes": list(result.notes),
        }
        for path, result in results.items()
    ]
    output.machine({"specs": rows})
