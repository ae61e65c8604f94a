"""Values on the command line, `NAME=VALUE`, and the options of commands that use a run."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from mmspec.cli import tested, waiting

if TYPE_CHECKING:
    from mmspec.inference.run import LoadedRun


def options(parser: argparse.ArgumentParser) -> None:
    """Add what every such command takes."""
    parser.add_argument("run_folder", metavar="RUN", help="the folder of a run, such as runs/gated")
    parser.add_argument("--device", metavar="NAME", default="cpu", help="cpu (default), cuda, ...")


def values(parser: argparse.ArgumentParser) -> None:
    """Add the values of one sample."""
    parser.add_argument(
        "values",
        metavar="NAME=VALUE",
        nargs="*",
        help="text, or the path of a file, by its modality; of a table TABLE.COLUMN=VALUE",
    )


def outside(parser: argparse.ArgumentParser, default: bool | None = False) -> None:
    """Add `--allow-outside`; default: what it is where it is not given."""
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        default=default,
        help="let the manifest's relative paths leave its folder",
    )


def loaded(arguments: argparse.Namespace, *later: str) -> LoadedRun:
    """The run, loaded; on a terminal what is done meanwhile, and what is left."""
    tested.note_torch()
    with waiting.shown("loading the model", *later):
        from mmspec.inference.run import load_run

        return load_run(arguments.run_folder, arguments.device)


def row(words: list[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The values by name; lists of ids are JSON, all else is text."""
    found: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            parser.error(f"`{word}` is no NAME=VALUE")
        if name in found:
            parser.error(f"`{name}` is given twice")
        found[name] = ids(value) if value.startswith("[") else value
    return found


def ids(text: str) -> Any:
    """A list in JSON; what is none is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
