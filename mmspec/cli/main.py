"""`mmspec`: the parser, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn, TextIO

from mmspec.cli import (
    analyze,
    check,
    compile,  # noqa: A004 - the command's name
    completion,
    evaluate,
    exits,
    explain,
    export,
    generate,
    import_spec,
    laws,
    new,
    predict,
    schema,
    show,
    train,
    tune,
    verify,
    weights,
)

_COMMANDS = (
    *(new, check, show, compile, analyze, tune, verify),
    *(train, predict, generate, evaluate, import_spec, weights, export),
    *(laws, schema, completion, explain),
)


_UNKNOWN: Final = "unrecognized arguments: "


class _Parser(argparse.ArgumentParser):
    """A parser that says what a misspelt word may have meant, but never acts on a guess."""

    def error(self, message: str) -> NoReturn:
        """Print the problem, a suggestion and where the help is; exit 2."""
        lines = [f"mmspec: error: {message}", *self._suggestion(message)]
        lines.append(f"help: `{self.prog} --help` lists what can be written here")
        self.exit(exits.USAGE, "\n".join(lines) + "\n")

    def check_words(self, given: argparse.Namespace) -> None:
        """Refuse empty words, which say nothing, and NUL, which no path can hold."""
        for action in self._actions:
            value = getattr(given, action.dest, None)
            name = "/".join(action.option_strings) or action.metavar or action.dest
            for word in value if isinstance(value, list) else [value]:
                if word == "":
                    self.error(f"argument {name}: it is empty")
                if isinstance(word, str) and "\0" in word:
                    self.error(f"argument {name}: {_shown(word)} holds a NUL character")

    def _suggestion(self, message: str) -> list[str]:
        """`did you mean ...?` for a command, choice or option that does not exist."""
        import difflib

        if message.startswith(_UNKNOWN):
            word, known = message.removeprefix(_UNKNOWN).split()[0], [*self._option_string_actions]
        elif "invalid choice: '" in message:
            word, _, rest = message.split("invalid choice: '", 1)[1].partition("'")
            known = rest.partition("choose from ")[2].rstrip(")").replace("'", "").split(", ")
        else:
            return []
        near = difflib.get_close_matches(word, known, 1)
        return [f"help: did you mean `{near[0]}`?"] if near else []


def _shown(word: str) -> str:
    """A word of the command line that steers no terminal, and is seen where it is empty."""
    return word if word.isprintable() and word.strip() else ascii(word)


class _Version(argparse.Action):
    """`--version`, which reads the version only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_unused: object) -> None:
        """Print the version and exit."""
        from mmspec.version import __version__

        print(f"mmspec {__version__}")
        parser.exit(exits.FINE)


class _Commands(argparse.RawDescriptionHelpFormatter):
    """A list in which the longest command's name, indented, still has what it is for beside it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = 4 + max(len(command.NAME) for command in _COMMANDS)


def parser() -> argparse.ArgumentParser:
    """The parser of every command, each with its `run` and its own `parser` as defaults.

    So are all `commands`: what each is for, and its parser.
    """
    top = _Parser(
        prog="mmspec",
        description="Declare a multimodal transformer, compile it, prove what it claims.",
        epilog=exits.TABLE,
        formatter_class=_Commands,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    every: dict[str, tuple[str, argparse.ArgumentParser]] = {}
    for command in _COMMANDS:
        sub = subs.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.options(sub)
        every[command.NAME] = command.SUMMARY, sub
        sub.set_defaults(run=command.run, parser=sub, commands=every)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (argparse itself exits on bad usage)."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        return exits.BROKEN_PIPE
    except OSError as error:
        if not _is_full(error):
            raise
        _flush_what_can_be()
        return _failed(error, as_json=False)
    return code


def _run(argv: Sequence[str] | None) -> int:
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # none of ours: not looked for
    _escape_what_cannot_be_encoded()
    top = parser()
    if not (sys.argv[1:] if argv is None else argv):
        top.print_help(sys.stderr)
        return exits.USAGE
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        arguments.parser.error(_UNKNOWN + " ".join(map(_shown, unknown)))
    arguments.parser.check_words(arguments)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("mmspec: interrupted", file=sys.stderr)
        return exits.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # the last place that can turn it into a message
        if _is_full(error):
            raise
        return _failed(error, getattr(arguments, "json", False))


def _escape_what_cannot_be_encoded() -> None:
    """A terminal of another encoding gets escapes, never a UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _is_full(error: Exception) -> bool:
    """Whether a disk, or whatever stdout goes to, takes no more; which file is not known."""
    from mmspec.diagnostics import is_full

    return is_full(error) and getattr(error, "filename", None) is None


def _failed(error: Exception, as_json: bool) -> int:
    """Say what went wrong, where that can be said; return the exit code."""
    try:
        return _said(error, as_json)
    except OSError as full:
        if as_json or not _is_full(full):
            raise
        _silence(sys.stderr)
        return exits.USAGE


def _said(error: Exception, as_json: bool) -> int:
    from mmspec.cli import output
    from mmspec.diagnostics import MmspecError

    if isinstance(error, MmspecError):
        output.errors(error, as_json)
        return exits.USAGE
    if os.environ.get("MMSPEC_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError) and error.filename is not None:
        output.note(f"error: {error.filename}: {(error.strerror or 'failed').lower()}")
        return exits.USAGE
    if _is_full(error):
        output.note("error: cannot write: no space is left where the output goes")
        return exits.USAGE
    text = " ".join(str(error).split())[:300]
    output.note(f"internal error: {type(error).__name__}: {text}")
    if not os.environ.get("MMSPEC_TRACEBACK"):
        output.note("this is a bug in mmspec; MMSPEC_TRACEBACK=1 shows where")
    return exits.INTERNAL


def _flush_what_can_be() -> None:
    """What was printed, unless it is stdout that takes no more."""
    try:
        sys.stdout.flush()
    except OSError:
        _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    """It is read no more, or full: let the interpreter's last flush go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return
