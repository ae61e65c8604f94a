"""TensorBoard's event files: written as TensorBoard does, and mended after a kill.

What a resumed run measures again is taken out.
"""

from __future__ import annotations

import itertools
import os
import platform
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final

from mmspec.train import folder

_HEAD: Final = struct.Struct("<QI")
"""In front of a record: its length and the checksum of that; behind it stands another checksum."""
_CHECK: Final = struct.Struct("<I")
_LENGTH: Final = 8
_VERSION: Final = "brain.Event:2"
"""What the first record of a file says."""
_TAIL: Final = _CHECK.size

Keep = Callable[[int, str], bool]


def is_there() -> bool:
    """Whether event files can be written: whether tensorboard is installed."""
    try:
        import_module("tensorboard.summary.writer.record_writer")
        import_module("tensorboard.compat.proto.event_pb2")
    except ImportError:
        return False
    return True


class Board:
    """A new event file in a folder, of scalars; tensorboard must be there.

    TensorBoard's own writer does this in a thread, in which a full disk ends in a traceback.
    """

    def __init__(self, directory: Path) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        messages: Any = event_pb2
        self._message = messages.Event
        self._path, self._file = _fresh(directory)
        self._records: Any = RecordWriter(self._file)
        self._add(self._message(file_version=_VERSION))
        self.flush()

    def add(self, scalars: Sequence[tuple[str, float]], step: int) -> None:
        """Scalars by their tags, at a step; raises MM603 where there is no room."""
        event = self._message(step=step)
        for tag, value in scalars:
            event.summary.value.add(tag=tag, simple_value=value)
        self._add(event)

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        with folder.adding(self._path, self._file):
            self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Nothing waits to be written; raises MM603 where there is no room."""
        with folder.adding(self._path, self._file):
            self._file.flush()

    def close(self) -> None:
        """No more scalars; raises OSError where the last cannot be written."""
        self._file.close()


def _fresh(directory: Path) -> tuple[Path, BinaryIO]:
    """A file that was not there, by the name that TensorBoard looks for."""
    begun = f"events.out.tfevents.{int(time.time()):010d}.{platform.node() or 'host'}.{os.getpid()}"
    for count in itertools.count():
        path = directory / f"{begun}.{count}"
        try:
            return path, path.open("xb")
        except FileExistsError:
            continue
        except OSError as error:
            raise folder.lost(path, error) from None
    raise AssertionError(begun)


def filter_files(directory: Path, keep: Keep) -> bool:
    """Leave the scalars in a folder's event files that `keep(step, tag)` wants, and no cut end.

    Where there is none, or one is damaged, which is then deleted with the others, the answer is
    no: they hold nothing that the other files of a run do not hold.
    """
    paths = sorted(path for path in directory.glob("events.out.tfevents.*") if path.is_file())
    try:
        kept = {path: _kept(path.read_bytes(), keep) for path in paths}
    except _DamagedError:
        kept = {}
    for path in paths:
        if kept.get(path):
            folder.write(path, kept[path])
        else:
            path.unlink()
    return bool(kept)


class _DamagedError(Exception):
    """A checksum does not fit."""


def _kept(content: bytes, keep: Keep) -> bytes:
    """The records that are wanted; nothing where no scalar is."""
    scalars, kept = 0, list[bytes]()
    for record, event in _records(content):
        values = [value.tag for value in event.summary.value]
        if values and not all(keep(event.step, tag) for tag in values):
            continue
        scalars += len(values)
        kept.append(record)
    return b"".join(kept) if scalars else b""


def _records(content: bytes) -> Iterator[tuple[bytes, Any]]:
    """Every whole record, as bytes and as an event; raises _DamagedError."""
    from tensorboard.compat.proto import event_pb2
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    messages: Any = event_pb2
    start = 0
    while start + _HEAD.size <= len(content):
        length, check = _HEAD.unpack_from(content, start)
        if masked_crc32c(content[start : start + _LENGTH]) != check:
            raise _DamagedError
        first, end = start + _HEAD.size, start + _HEAD.size + length + _TAIL
        if end > len(content):
            return
        if (
            masked_crc32c(content[first : end - _TAIL])
            != _CHECK.unpack(content[end - _TAIL : end])[0]
        ):
            raise _DamagedError
        yield content[start:end], messages.Event.FromString(content[first : end - _TAIL])
        start = end
