"""Print the language as JSON Schema, with which editors complete and check specs."""

from __future__ import annotations

import argparse
from typing import Final

from mmspec.cli import exits, output

NAME: Final = "schema"
SUMMARY: Final = "print the language as JSON Schema, for editors"


def options(parser: argparse.ArgumentParser) -> None:
    """Add none: it prints the whole language."""


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    from mmspec.schema.json_schema import json_schema

    output.machine(json_schema())
    return exits.FINE
