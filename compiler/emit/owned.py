"""What of a folder mmspec wrote: only that is replaced or removed, whatever its manifest says.

A manifest may come from anywhere. It is believed of plain files in its own folder, and in the one
below it of what packages copy, that hold what it says; links, pipes, devices and other folders are
not followed, waited for or removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from mmspec.diagnostics import Diagnostic, MmspecError, listed

MANIFEST: Final = "manifest.json"
RUNTIME: Final = "runtime"
"""The one folder below that of a package."""
_CACHE: Final = "__pycache__"
_NAME: Final = re.compile(rf"(?:{RUNTIME}/)?[a-z_][a-z0-9_]*\.(?:py|cpp)|spec\.yaml|manifest\.json")
_MOST: Final = 16 << 20
_MARK: Final = ".mmspec-"
_A_MINUTE: Final = 60


def prefix(target: Path) -> str:
    """How the names of folders begin that become `target`."""
    return f".{target.name}{_MARK}"


def refuse(directory: Path, names: Collection[str] | None = None, force: bool = False) -> None:
    """Raise MmspecError unless a folder is empty, not there, or a package as mmspec wrote it.

    names: of the files that will be there; `force` lets those differ from what was written (None:
    they are not known yet, and any may). Codes: MM601, MM602, MM605.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise MmspecError(
            Diagnostic("MM601", f"{directory} is a file", help="choose a folder with -o")
        )
    recorded = _recorded(directory)
    found = _found(directory)
    digests = {name: _digest(directory / name) for name in found}
    strange = [
        name
        for name in found
        if not (digests[name] and (name in recorded or (recorded and name == MANIFEST)))
        and not (recorded and _is_cache(name) and _holds_compiled(directory / name))
    ]
    edited = [name for name in found if name in recorded and digests[name] != recorded[name]]
    if force and names is not None:
        strange += [name for name in edited if name not in names]
    if strange:
        message = f"{directory} holds files that mmspec did not write: {listed(strange, 5)}"
        advice = "choose another folder with -o, or move them away"
        raise MmspecError(Diagnostic("MM602", message, help=advice))
    if edited and not force:
        message = f"{directory} was edited since it was compiled: {listed(edited, 5)}"
        advice = "--force replaces it; -o writes elsewhere"
        raise MmspecError(Diagnostic("MM605", message, help=advice))


def _found(directory: Path) -> list[str]:
    """What lies in a folder and in that of the runtime, if it is a folder and holds anything."""
    names = sorted(entry.name for entry in os.scandir(directory))
    below = directory / RUNTIME
    if RUNTIME in names and not below.is_symlink() and below.is_dir():
        inside = sorted(f"{RUNTIME}/{entry.name}" for entry in os.scandir(below))
        names[names.index(RUNTIME) : names.index(RUNTIME) + 1] = inside or [RUNTIME]
    return names


def _is_cache(name: str) -> bool:
    return name in (_CACHE, f"{RUNTIME}/{_CACHE}")


def _recorded(directory: Path) -> dict[str, str]:
    """Digests of files by name, as far as a manifest can be believed."""
    try:
        said = json.loads(_content(directory / MANIFEST) or b"")
        files = said["files"] if isinstance(said["mmspec"], str) else {}
        return {
            name: digest
            for name, digest in files.items()
            if _NAME.fullmatch(name) and isinstance(digest, str)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _content(path: Path) -> bytes | None:
    """What a plain file of no great size holds; None where it is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST:
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file, suppress(OSError):
        return file.read(_MOST)
    return None


def _digest(path: Path) -> str:
    """The digest of a plain file; empty where it is none."""
    content = _content(path)
    return "" if content is None else sha256(content).hexdigest()


def _holds_compiled(directory: Path) -> bool:
    """Whether a folder holds nothing but what Python keeps of modules."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    entries = list(os.scandir(directory))
    return all(
        re.search(r"\.pyc(\.\d+)?$", entry.name) and entry.is_file(follow_symlinks=False)
        for entry in entries
    )


def remove(directory: Path, names: Collection[str]) -> None:
    """Remove plain files of these names and what Python kept of them; the folder where it is empty.

    Whatever else came meanwhile stays, and the folder with it.
    """
    below = f"{RUNTIME}/"
    if not (directory / RUNTIME).is_symlink():
        inside = {name.removeprefix(below) for name in names if name.startswith(below)}
        _remove_plain(directory / RUNTIME, inside)
    _remove_plain(directory, names)


def _remove_plain(directory: Path, names: Collection[str]) -> None:
    """Of one folder."""
    with suppress(OSError):
        if _holds_compiled(directory / _CACHE):
            for entry in os.scandir(directory / _CACHE):
                os.unlink(entry.path)
            (directory / _CACHE).rmdir()
        for entry in os.scandir(directory):
            if entry.name in names and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)
        directory.rmdir()


def names_in(directory: Path) -> set[str]:
    """Names of the files of a package that may be removed with it."""
    return {*_recorded(directory), MANIFEST}


def locked(directory: Path) -> int | None:
    """A handle that marks a folder as in use while it is open; None where another has it."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def sweep(target: Path) -> None:
    """Remove what killed compilations of `target` left beside it; those at work have a lock."""
    form = re.compile(re.escape(prefix(target)) + r"[a-z0-9_]{8}(\.old)?")
    with suppress(OSError):
        left = [entry for entry in os.scandir(target.parent) if form.fullmatch(entry.name)]
        for entry in left:
            state = entry.stat(follow_symlinks=False)
            age = time.time() - state.st_ctime
            if state.st_uid != os.geteuid() or (entry.name.endswith(".old") and age < _A_MINUTE):
                continue
            handle = locked(Path(entry.path))
            if handle is not None:
                _remove_left(Path(entry.path))
                os.close(handle)


def _remove_left(directory: Path) -> None:
    """Remove a folder of files that were being written, or of a package that was replaced."""
    remove(directory, set(filter(_NAME.fullmatch, _found(directory))))
