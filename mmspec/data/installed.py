"""Files of installed packages, found without running a line of theirs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def file(package: str, inside: str) -> Path | None:
    """A file of a package that is installed under this name; None where it is not."""
    found = find_spec(package)
    if found is None or not found.origin:
        return None
    path = Path(found.origin).parent / inside
    return path if path.is_file() else None
