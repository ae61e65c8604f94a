"""Whether what a command will write can be written, asked before the work; and writing it whole."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from mmspec.diagnostics import MmspecError

_LEAST: Final = 4096
"""Bytes that must find room: a disk without is told before the work."""
_ELSEWHERE: Final = "name another place"


def check_file(path: Path) -> None:
    """Raise MM603 where no file can be written at a path; pipes and devices are not tried."""
    if path.is_dir():
        raise _refused(path, "it is a folder")
    if path.is_file() and not os.access(path, os.W_OK):
        raise _refused(path, "permission denied")
    if not path.exists():
        _try(path, path.parent)


def check_folder(path: Path, beside: bool = False) -> None:
    """Raise MM603 where a folder cannot be made at a path, or nothing be written into it.

    beside: nothing is written into it, but a new one is put in its place.
    """
    above = path.parent if beside else path
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    _try(path, above)


def _try(path: Path, folder: Path) -> None:
    """Write a file that nobody sees into a folder."""
    import tempfile

    from mmspec.diagnostics import unwritable

    if "\0" in str(path):
        raise _refused(path, "no path holds a NUL character")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_LEAST))
            file.flush()
    except (OSError, ValueError) as error:
        raise unwritable(path, error, _ELSEWHERE) from None


def _refused(path: Path, reason: str) -> MmspecError:
    from mmspec.diagnostics import unwritable

    return unwritable(path, ValueError(reason), _ELSEWHERE)


def write(path: Path, content: bytes, is_new: bool = False) -> None:
    """Put a file at a path, whole or not at all; what a link, a pipe or a device is goes there.

    Raises MmspecError MM603; FileExistsError where something is there and the file `is_new`.
    """
    from mmspec.diagnostics import unwritable

    is_plain = path.is_file() and not path.is_symlink() and os.access(path.parent, os.W_OK)
    is_whole = is_plain or not os.path.lexists(path)
    target = path.with_name(f".{path.name[:99]}.{os.getpid()}") if is_whole and not is_new else path
    made = None
    try:
        with target.open("xb" if is_new else "wb") as file:
            made = target if is_whole else None
            file.write(content)
        if target is not path:
            target.replace(path)
    except FileExistsError:
        raise
    except (OSError, ValueError) as error:
        if made is not None:
            with suppress(OSError):
                made.unlink()
        raise unwritable(path, error, _ELSEWHERE) from None
