"""TensorBoard's event files after a kill: what a resumed run measures again is taken out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from mmspec.train import folder

_HEAD: Final = struct.Struct("<QI")
"""In front of a record: its length and the checksum of that; behind it stands another checksum."""
_CHECK: Final = struct.Struct("<I")
_LENGTH: Final = 8
_TAIL: Final = _CHECK.size

Keep = Callable[[int, str], bool]


def is_there() -> bool:
    """Whether event files can be written: whether tensorboard is installed."""
    try:
        import_module("torch.utils.tensorboard")  # which imports tensorboard
    except ImportError:
        return False
    return True


def board(directory: Path) -> Any:
    """A writer of event files; tensorboard must be there."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(directory))


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
