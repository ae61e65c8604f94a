"""The command line, called in the process of the tests."""

from __future__ import annotations

from mmspec.cli import main


def call(*arguments: str) -> int:
    """The exit code of a command; what argparse exits with counts as its code."""
    try:
        return main.main(arguments)
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code
