"""The rich console of the commands that draw; importing this module imports rich."""

from __future__ import annotations

import shutil
import sys

from rich.console import Console
from rich.text import Text

_PIPE_WIDTH = 100


class _Console(Console):
    """A console that lets the command line see a broken pipe."""

    def on_broken_pipe(self) -> None:
        """Raise what `main` handles, instead of rich's own exit."""
        raise BrokenPipeError


def stdout() -> Console:
    """A console on stdout: colours on a terminal, plain and 100 columns (or COLUMNS) in a pipe."""
    width = None if sys.stdout.isatty() else shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
    return _Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)


def stderr() -> Console:
    """A console on stderr, for progress beside the output."""
    return _Console(file=sys.stderr, highlight=False)


def literal(text: str, style: str = "") -> Text:
    """Text in which brackets are brackets, not markup."""
    return Text(text, style=style)
