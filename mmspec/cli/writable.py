"""Whether what a command will write can be written, asked before the work and leaving nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mmspec.diagnostics import MmspecError


def check_file(path: Path) -> None:
    """Raise MM603 where no file can be written at a path; pipes and devices are not tried."""
    if path.is_dir():
        raise _refused(path, "it is a folder")
    if path.is_file() and not os.access(path, os.W_OK):
        raise _refused(path, "permission denied")
    if not path.exists():
        _try(path, path.parent)


def check_folder(path: Path) -> None:
    """Raise MM603 where a folder cannot be made at a path, or nothing be written into it."""
    above = path
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    _try(path, above)


def _try(path: Path, folder: Path) -> None:
    """Write a file that nobody sees into a folder."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise _refused(path, (error.strerror or str(error)).lower()) from None


def _refused(path: Path, reason: str) -> MmspecError:
    from mmspec.diagnostics import Diagnostic, MmspecError

    message = f"cannot write {path}: {reason}"
    return MmspecError(Diagnostic("MM603", message, help="name another place"))
