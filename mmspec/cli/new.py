"""Write a commented starter spec, NAME.yaml, into this folder; never over a file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from mmspec.cli import exits, starters, writable

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "new"
SUMMARY: Final = "write a commented starter spec"


def options(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="mine",
        help="its name, or the path of its file (default: mine)",
    )
    parser.add_argument(
        "--kind",
        choices=list(starters.STARTERS),
        default="classifier",
        help="what to start from (default: classifier)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the spec and say what to do with it."""
    from pathlib import Path

    given = Path(arguments.name)
    name = checked(given.name.removesuffix(".yaml"))
    path = given.with_name(f"{name}.yaml")
    write(path, starters.STARTERS[arguments.kind].replace("NAME", name))
    print(f"wrote {path}\nnext: mmspec show {path}, mmspec verify {path}, mmspec compile {path}")
    return exits.FINE


def checked(name: str) -> str:
    """The name, or MmspecError MM105."""
    from mmspec.diagnostics import Diagnostic, MmspecError
    from mmspec.schema.names import check_package_name

    try:
        return check_package_name(name)
    except ValueError as error:
        message = f"`{name}` cannot name a spec: {error}"
        raise MmspecError(Diagnostic("MM105", message)) from None


def write(path: Path, text: str) -> None:
    """Write a spec where there is no file; raises MmspecError MM604 or MM603."""
    from mmspec.diagnostics import Diagnostic, MmspecError

    try:
        writable.write(path, text.encode(), is_new=True)
    except FileExistsError:
        advice = "choose another name, or move the file away"
        raise MmspecError(Diagnostic("MM604", f"{path} exists already", help=advice)) from None
