"""A line where torch is newer than what this version was tested with."""

from __future__ import annotations

import re
from importlib import metadata

from mmspec.cli import output
from mmspec.version import TESTED_TORCH


def note_torch() -> None:
    """On stderr, once: for a command that computes with torch, before it is imported."""
    try:
        found = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return
    parts = re.match(r"(\d+)\.(\d+)", found)
    if parts and (int(parts[1]), int(parts[2])) > TESTED_TORCH:
        newest = ".".join(map(str, TESTED_TORCH))
        output.note(f"torch {found} is newer than what this version was tested with ({newest})")
