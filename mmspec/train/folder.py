"""The files of a run: written whole or not at all, read as what anyone may have changed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from mmspec.diagnostics import Diagnostic, MmspecError, unwritable

RUN: Final = "run.json"
"""Says what the run of a folder is; where it is, the run can be resumed."""
_UNFINISHED: Final = ".unfinished"
MEND: Final = "restore it from a copy, or begin another run with --out"


def damaged(path: Path, what: str, advice: str = MEND) -> MmspecError:
    """MM613: something of a run cannot be used."""
    return MmspecError(Diagnostic("MM613", f"{path} {what}", help=advice))


def lost(path: Path, error: OSError) -> MmspecError:
    """MM603: a file of a run cannot be written; what was measured since the checkpoint is lost."""
    found = unwritable(path, error).diagnostics[0]
    can_go_on = (path.parent / RUN).exists()
    goes_on = f"`mmspec train --resume {path.parent}` goes on afterwards" if can_go_on else ""
    return MmspecError(replace(found, help="; ".join(filter(None, (found.help, goes_on)))))


@contextmanager
def adding(path: Path, file: BinaryIO) -> Generator[None]:
    """MM603 where a file takes no more; it is closed then, lest what waits in it is told again."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            file.close()
        raise lost(path, error) from None


def opened(path: Path) -> BinaryIO:
    """A regular file, open for reading; raises MM613 where there is none, or it may not be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise damaged(path, f"cannot be read: {(error.strerror or 'failed').lower()}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise damaged(path, "is not a file")
    return os.fdopen(handle, "rb")


def content(path: Path) -> bytes:
    """What a regular file holds; raises MM613."""
    with opened(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise damaged(path, f"cannot be read: {error.strerror}") from None


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step: a reader sees the old bytes or the new ones.

    Raises MmspecError MM603 where the disk will not take them.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise lost(path, error) from None
    finally:
        with suppress(OSError, TypeError):
            os.unlink(temporary)  # type: ignore[arg-type]


def is_unfinished(path: Path) -> bool:
    """Whether a file is what a writer that was killed left half written."""
    return path.name.startswith(".") and path.name.endswith(_UNFINISHED)


def sweep(directory: Path) -> None:
    """Delete what writers that were killed left half written; no other may write there now."""
    for path in directory.iterdir():
        if is_unfinished(path):
            path.unlink(missing_ok=True)


def _sync_folder(directory: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
