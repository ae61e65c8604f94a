"""The command line's surface: every command, argument and option, frozen in a golden file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import pytest

from mmspec.cli.main import parser


def subparsers(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def describe(action: argparse.Action) -> str:
    """An argument or option on one line: names, value, choices and default."""
    if not action.option_strings:
        words = [str(action.metavar or action.dest)]
    else:
        words = [", ".join(action.option_strings)]
        if action.nargs != 0:
            words.append(str(action.metavar or action.dest.upper()))
    if action.nargs not in (None, 0):
        words.append(f"({action.nargs})")
    if action.choices is not None:
        words.append("{" + ",".join(str(choice) for choice in action.choices) + "}")
    if action.required and action.option_strings:
        words.append("required")
    if action.default not in (None, False, argparse.SUPPRESS):
        words.append(f"= {action.default}")
    return " ".join(words)


def surface(top: argparse.ArgumentParser) -> Iterator[str]:
    """The whole surface as lines: the options of each command, sorted, after its arguments."""
    for name, each in {"": top, **subparsers(top)}.items():
        yield f"mmspec {name}".rstrip()
        actions = [a for a in each._actions if not isinstance(a, argparse._SubParsersAction)]
        arguments = [describe(action) for action in actions if not action.option_strings]
        options = sorted(describe(action) for action in actions if action.option_strings)
        yield from (f"  {line}" for line in arguments + options)


def test_the_surface_is_what_it_was(golden: Callable[[str, str], None]) -> None:
    golden("cli_surface.txt", "\n".join(surface(parser())) + "\n")


def test_a_new_option_shows() -> None:
    top = parser()
    before = list(surface(top))
    subparsers(top)["check"].add_argument("--new-option", default="none")
    assert set(surface(top)) - set(before) == {"  --new-option NEW_OPTION = none"}


@pytest.mark.parametrize("name", subparsers(parser()))
def test_every_command_and_option_has_a_help(name: str) -> None:
    command = subparsers(parser())[name]
    assert command.description
    assert [describe(action) for action in command._actions if not action.help] == []
