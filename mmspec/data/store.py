"""Encoded columns in files of the cache: written once, mapped into memory, read as it is needed.

A file holds the parts of a column, each on a page of its own, then what they are as JSON, the hash
of that, and its length. Its name is a hash of all that decides what is in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from mmspec import private
from mmspec.data.arrays import Array, Kept, Part, digest
from mmspec.diagnostics import unwritable

MOST: Final = 16 << 30
"""Bytes that are kept; what was not used for longest goes first."""
_FOLDER: Final = "encoded"
_BLOCK: Final = 1 << 20
_MEGA: Final = 10**6
_SPOOLED: Final = 64 << 20
"""Bytes that are held in memory."""
_STALE: Final = 3600.0
"""Seconds after which a file that nobody finished is removed."""
_TYPES: Final = ("bool", "uint8", "int64", "float32", "float64")
_END: Final = 32 + 8
_LONGEST: Final = 1 << 16


def found(name: str, tell: Callable[[int, int], None]) -> list[Kept] | None:
    """The column of this name; None where there is none, or a damaged one, which is removed.

    `tell` is told how many of its megabytes have been looked at, and of how many.
    """
    folder = private.cache(_FOLDER)
    file = private.opened(folder / name) if folder else None
    if folder is None or file is None:
        return None
    with file:
        try:
            kept = [_checked(file, entry, tell) for entry in _layout(file)]
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            with suppress(OSError):
                (folder / name).unlink()
            return None
    with suppress(OSError):
        os.utime(folder / name)
    return kept


def kept(name: str, parts: Iterable[Part], is_same: Callable[[], bool]) -> list[Kept]:
    """The parts of a column, written to a file of this name and mapped.

    The file is only kept where `is_same()` says that nothing has changed since the name was made,
    and where there is a cache. Raises MmspecError (MM603) where they cannot be written.
    """
    folder = private.cache(_FOLDER)
    if folder is None:
        return spooled(parts)
    with _writing(lambda: folder):
        _sweep(folder)
        with private.written(folder / name) as file:
            layout = _write(file, parts)
        with (folder / name).open("rb") as file:
            made = _mapped(file, layout)
        if not is_same():
            (folder / name).unlink(missing_ok=True)
        return made


def spooled(parts: Iterable[Part]) -> list[Kept]:
    """The parts of a column in memory; where they are large, in a file that goes with the process.

    Raises MmspecError (MM603) where that cannot be written.
    """
    with _writing(_spools):
        spool = _Spool()
        layout = _write(spool, parts)
        made = _mapped(spool.file, layout)
        if not isinstance(spool.file, BytesIO):
            spool.file.close()  # what is mapped stays
        return made


class _Spool:
    """A file without a name; in memory while it is small."""

    def __init__(self) -> None:
        self.file: Any = BytesIO()
        self.tell = self.file.tell

    def write(self, data: Any) -> None:
        """Add some bytes."""
        self.file.write(data)
        if isinstance(self.file, BytesIO) and self.tell() > _SPOOLED:
            content, self.file = self.file, tempfile.TemporaryFile(dir=_spools())
            self.file.write(content.getbuffer())
            self.tell = self.file.tell

    def flush(self) -> None:
        """Nothing waits to be written."""
        self.file.flush()


def _spools() -> Path:
    """Where files lie that go with the process."""
    own = private.cache(_FOLDER)
    with suppress(FileNotFoundError):  # on full disks none is fit for temporary files
        own = own or Path(tempfile.gettempdir())
    return own or Path.cwd()


@contextmanager
def _writing(folder: Callable[[], Path]) -> Generator[None]:
    """MM603 where a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise unwritable(folder(), error, "MMSPEC_CACHE names another folder") from None


def _write(file: Any, parts: Iterable[Part]) -> list[dict[str, Any]]:
    """Every part, and what is where; the place of the file is its end after."""
    layout: list[dict[str, Any]] = []
    for part in parts:
        file.write(bytes(-file.tell() % mmap.ALLOCATIONGRANULARITY))
        content, offset, count = hashlib.sha256(), file.tell(), 0
        for block in part.blocks:
            data: Array = np.ascontiguousarray(block, part.kind)
            assert data.shape[1:] == part.shape, (data.shape, part.shape)
            content.update(data.data)
            file.write(data.data)
            count += len(data)
        shape = [count, *part.shape]
        entry = {"at": offset, "type": np.dtype(part.kind).name, "shape": shape}
        layout.append(entry | {"sha256": content.hexdigest()})
    text = json.dumps(layout).encode()
    file.write(text + hashlib.sha256(text).digest() + len(text).to_bytes(8, "little"))
    file.flush()
    return layout


def _layout(file: BinaryIO) -> list[dict[str, Any]]:
    """What a file says that it holds; ValueError or OSError where it is damaged."""
    size = file.seek(0, os.SEEK_END)
    file.seek(size - min(size, _END))
    end = file.read()
    length = int.from_bytes(end[32:], "little")
    if len(end) < _END or length > min(_LONGEST, size - _END):
        raise ValueError("no end")
    file.seek(size - _END - length)
    text = file.read(length)
    if hashlib.sha256(text).digest() != end[:32]:
        raise ValueError("another hash")
    layout: list[dict[str, Any]] = json.loads(text)
    return layout


def _checked(file: BinaryIO, entry: dict[str, Any], tell: Callable[[int, int], None]) -> Kept:
    """A part, once its content was read and has the hash that was noted."""
    size, content = _size(entry), hashlib.sha256()
    total = os.fstat(file.fileno()).st_size // _MEGA
    file.seek(entry["at"])
    while size > 0:
        block = file.read(min(_BLOCK, size))
        if not block:
            raise ValueError("it is cut")
        content.update(block)
        size -= len(block)
        tell(file.tell() // _MEGA, total)
    if content.hexdigest() != entry["sha256"]:
        raise ValueError("another hash")
    return _mapped(file, [entry])[0]


def _size(entry: dict[str, Any]) -> int:
    assert entry["type"] in _TYPES, entry
    return math.prod(map(int, entry["shape"])) * int(np.dtype(entry["type"]).itemsize)


def _mapped(file: BinaryIO, layout: list[dict[str, Any]]) -> list[Kept]:
    """The parts as arrays, whose pages are read when they are looked at where it is a real file."""
    made: list[Kept] = []
    for entry in layout:
        kind, shape, size = np.dtype(entry["type"]), tuple(entry["shape"]), _size(entry)
        name = digest(kind, shape, entry["sha256"])
        if not size:
            made.append(Kept(np.zeros(shape, kind), name))
            continue
        if isinstance(file, BytesIO):
            values: Array = np.frombuffer(file.getbuffer()[entry["at"] :][:size], kind)
            made.append(Kept(values.reshape(shape), name))
            continue
        pages = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ, offset=entry["at"])
        made.append(Kept(np.frombuffer(pages, kind).reshape(shape), name, pages))
    return made


def _sweep(folder: Path) -> None:
    """What nobody finished goes, and of the rest what was not used for longest."""
    with os.scandir(folder) as entries:
        states = [(Path(entry.path), entry.stat(follow_symlinks=False)) for entry in entries]
    total = 0
    for path, state in sorted(states, key=lambda each: each[1].st_mtime_ns, reverse=True):
        is_part = path.name.startswith(".")
        total += state.st_size
        if time.time() - state.st_mtime > _STALE if is_part else total > MOST:
            with suppress(OSError):
                path.unlink()
