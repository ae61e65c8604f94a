"""Folders and files of this user alone: a cache is believed only where nobody else could write it.

Every folder on the way is looked at, since whoever may rename one may put another in its place.
Packages with native code have a copy of this module, so it imports nothing of ours.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_ELSEWHERE: Final = "MMSPEC_CACHE names another folder"
_SAID: set[str] = set()


def cache(*names: str) -> Path | None:
    """The folder of these names in the cache, made where it is missing; None: do without.

    The cache is $MMSPEC_CACHE, else mmspec in $XDG_CACHE_HOME, else in ~/.cache. One that is
    relative or that others could write to is refused, with one line on stderr for a process.
    """
    own, shared = os.environ.get("MMSPEC_CACHE"), os.environ.get("XDG_CACHE_HOME")
    base = own or os.path.join(shared or os.path.expanduser("~/.cache"), "mmspec")
    if not os.path.isabs(base):
        say(f"the cache folder {base} is relative, so nothing is kept; give its whole path")
        return None
    try:
        places = [Path(os.path.realpath(base))]
        for name in names:
            places.append(places[-1] / name)
        at_fault = _faults(places)
        if at_fault is None:
            for folder in places:
                _make(folder)
            at_fault = _faults(places)  # another may have been faster
        if at_fault is None:
            for folder in places:
                if stat.S_IMODE(folder.stat().st_mode) != 0o700:  # or it is on a disk to read only
                    folder.chmod(0o700)
    except (OSError, ValueError):
        return None
    if at_fault is not None:
        say(f"{at_fault[0]}, so the cache {base} is not used; {at_fault[1]}")
        return None
    return places[-1]


def _make(folder: Path) -> None:
    """Make a folder, with those above it, for this user alone."""
    if not folder.parent.exists():
        _make(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _faults(folders: list[Path]) -> tuple[str, str] | None:
    """The first fault of some folders."""
    return next((fault for folder in folders if (fault := _fault(folder))), None)


def _fault(folder: Path) -> tuple[str, str] | None:
    """Why others could change what the folder holds, and how to mend it; None: they could not.

    What is not there is looked at no further: it will be made for this user alone.
    """
    for place in (folder, *folder.parents):
        try:
            state = place.lstat()
        except FileNotFoundError:
            continue
        is_own = place == folder
        if is_own and not stat.S_ISDIR(state.st_mode):
            raise NotADirectoryError(folder)
        if state.st_uid != os.geteuid() and (is_own or state.st_uid != 0):
            return f"{place} belongs to another user", _ELSEWHERE
        if state.st_mode & _OTHERS and (is_own or not state.st_mode & stat.S_ISVTX):
            mend = "remove it, or let MMSPEC_CACHE name another" if is_own else _ELSEWHERE
            return f"others may write to {place}", mend
    return None


def say(message: str) -> None:
    """A line on stderr, once for a process; nothing in it steers a terminal."""
    if message not in _SAID:
        _SAID.add(message)
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in f"mmspec: {message}")
        print(shown, file=sys.stderr, flush=True)


def opened(path: Path) -> BinaryIO | None:
    """A file of a private folder for reading; None where there is none that only we could write.

    Links, pipes and devices are none: nothing is waited for, and nothing outside is read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    state = os.fstat(handle)
    ours = state.st_uid == os.geteuid() and not state.st_mode & _OTHERS
    if ours and stat.S_ISREG(state.st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    return None


def read(path: Path, most: int) -> bytes | None:
    """What such a file holds; None where it is none, or holds more than `most` bytes."""
    file = opened(path)
    if file is None:
        return None
    with file, suppress(OSError):
        content = file.read(most + 1)
        return content if len(content) <= most else None
    return None


@contextmanager
def written(path: Path) -> Generator[BinaryIO]:
    """A file that is put at `path`, readable by this user alone, once it is whole; else nothing."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with suppress(FileNotFoundError):
            fresh.unlink()
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            yield file
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
