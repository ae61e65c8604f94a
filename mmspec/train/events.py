"""TensorBoard's event files after a kill: what a resumed run measures again is taken out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from mmspec.train import checkpoint

_HEAD: Final = struct.Struct("<QI")
"""In front of a record: its length and the checksum of that; behind it stands another checksum."""
_TAIL: Final = 4

Keep = Callable[[int, str], bool]


def board(directory: Path) -> Any:
    """A writer of event files, None without tensorboard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory))


def filter_files(directory: Path, keep: Keep) -> None:
    """Leave the scalars in a folder's event files that `keep(step, tag)` wants, and no cut end."""
    for path in sorted(directory.glob("events.out.tfevents.*")):
        scalars, content = 0, b""
        for record, event in _records(path.read_bytes()):
            values = [value.tag for value in event.summary.value]
            if values and not all(keep(event.step, tag) for tag in values):
                continue
            scalars += len(values)
            content += record
        if scalars:
            checkpoint.write(path, content)
        else:
            path.unlink()


def _records(content: bytes) -> Iterator[tuple[bytes, Any]]:
    """Every whole record, as bytes and as an event."""
    from tensorboard.compat.proto import event_pb2

    messages: Any = event_pb2
    start = 0
    while start + _HEAD.size <= len(content):
        length, _ = _HEAD.unpack_from(content, start)
        end = start + _HEAD.size + length + _TAIL
        if end > len(content):
            return
        try:
            event = messages.Event.FromString(content[start + _HEAD.size : end - _TAIL])
        except Exception:  # noqa: BLE001 - DecodeError, of a package without types
            return
        yield content[start:end], event
        start = end
