"""Whether a file of sound is all there: what it says of its lengths, held to the file.

Decoders read what a file that was cut still holds, and say nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of file is laid out: parts, each a name and a length, then as many bytes."""

    sound: bytes
    """The part that holds the samples."""
    length: str
    """How a length is written."""
    first: int = 12
    """Where the first part begins."""
    name: int = 4
    """Bytes of a part's name, of which the first four are looked at."""
    step: int = 2
    """Parts begin at multiples of this."""
    own: int = 0
    """Bytes of a part's head that its length counts too."""
    endless: int = 0x7F000000
    """Who writes into a pipe says a length from here on (or one below 0): to the file's end."""


_KINDS: Final = {
    b"RIFF": _Kind(b"data", "<I"),
    b"RIFX": _Kind(b"data", ">I"),
    b"RF64": _Kind(b"data", "<I"),
    b"BW64": _Kind(b"data", "<I"),
    b"FORM": _Kind(b"SSND", ">I"),
    b"riff": _Kind(b"data", "<Q", first=40, name=16, step=8, own=24, endless=1 << 62),
    b"caff": _Kind(b"data", ">q", first=8, step=1, endless=1 << 62),
}
"""WAV in either order and for large files, AIFF, Wave64 and CAF."""
_EVEN: Final = frozenset((1, 3, 6, 7, 0xFFFE))
"""Formats of WAV whose samples are all of one size: whole numbers, floats, both laws."""
_PAGE: Final = 27
"""Bytes of a page of Ogg in front of the lengths of its segments."""
_LONGEST: Final = _PAGE + 255 + 255 * 255
"""Bytes of a page at most."""
_MOST: Final = 1000
"""Parts that are looked at."""


def fault(path: Path) -> str:
    """What is wrong with the lengths in a file; nothing where they fit, or where it has none."""
    with path.open("rb") as file:
        start, size = file.read(12), os.fstat(file.fileno()).st_size
        if not size:
            return "it is empty"
        if start.startswith(b"OggS"):
            return _cut_page(file, size)
        if start.startswith(b".snd"):
            return _cut_au(start, size)
        kind = _KINDS.get(start[:4])
        if kind is None:
            return ""
        known: dict[bytes, _Part] = {}
        for part in _parts(file, size, kind):
            known[part.name] = part
            if part.name == kind.sound:
                return _cut_sound(file, size, kind, known)
        is_wave = start.startswith(b"riff") or start.endswith(b"WAVE")
        return "it ends before its sound" if is_wave else ""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file: its name, where its bytes begin, how many they are said to be."""

    name: bytes
    start: int
    length: int


def _parts(file: BinaryIO, size: int, kind: _Kind, place: int = 0) -> Iterator[_Part]:
    """The parts of a file from a place on, to the one with which it ends, or that it cuts."""
    place, head = place or kind.first, kind.name + struct.calcsize(kind.length)
    for _ in range(_MOST):
        if not place <= size - head:
            return
        name = _read(file, place, kind.name)[:4]
        length = _number(file, place + kind.name, kind.length) - kind.own
        yield _Part(name, place + head, length)
        place += head + length if length >= 0 else size
        place += -place % kind.step


def _cut_sound(file: BinaryIO, size: int, kind: _Kind, known: dict[bytes, _Part]) -> str:
    """What is wrong with the part that holds the samples."""
    part, large = known[kind.sound], known.get(b"ds64")
    there, said = size - part.start, part.length
    if large is not None:
        said = _number(file, large.start + 8, "<Q")
    is_endless = large is None and not 0 <= said < kind.endless
    if said > there and not is_endless:
        return f"it is cut: {there:,} of {said:,} bytes of sound are there"
    if said == 0 and there and not _is_followed(file, size, kind, part):
        return f"its header was not finished: it says 0 bytes of sound, and {there:,} follow"
    sample = _sample(file, known, kind.length[0])
    rest = min(said, there) % sample if not is_endless else there % sample
    is_padded = is_endless and rest == 1 and there % 2 == 0
    return f"it is cut: {rest} of {sample} bytes of its last sample" if rest > is_padded else ""


def _is_followed(file: BinaryIO, size: int, kind: _Kind, part: _Part) -> bool:
    """Whether what stands behind an empty part are other parts, to the end of the file."""
    others = [*_parts(file, size, kind, part.start)]
    are_named = all(min(each.name) >= ord(" ") and each.name.isascii() for each in others)
    end = others[-1].start + others[-1].length if others else 0
    return are_named and 0 <= size - end < kind.step


def _sample(file: BinaryIO, known: dict[bytes, _Part], order: str) -> int:
    """Bytes of a sample of all channels, where a file says so and they are of one size; else 1."""
    form = known.get(b"fmt ")
    if form is None:
        return 1
    tag, block = (_number(file, form.start + at, f"{order}H") for at in (0, 12))
    return block if tag in _EVEN and block else 1


def _cut_au(start: bytes, size: int) -> str:
    """What is wrong with the length in a file of Sun's."""
    first, said = struct.unpack(">II", start[4:].ljust(8, b"\0"))
    there = max(size - first, 0)
    is_cut = there < said != 0xFFFFFFFF
    return f"it is cut: {there:,} of {said:,} bytes of sound are there" if is_cut else ""


def _cut_page(file: BinaryIO, size: int) -> str:
    """Whether the last page of an Ogg file is there only in part."""
    first = max(0, size - _LONGEST)
    tail = _read(file, first, _LONGEST)
    place = tail.find(b"OggS\0")
    while 0 <= place < len(tail):
        head = tail[place : place + _PAGE]
        if not head.startswith(b"OggS"[: len(head)]):
            return ""
        count = head[-1] if len(head) == _PAGE else 0
        place += _PAGE + count + sum(tail[place + _PAGE : place + _PAGE + count])
    lacking = place - len(tail)
    return f"it is cut: its last page lacks {lacking:,} bytes" if lacking > 0 else ""


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _number(file: BinaryIO, place: int, form: str) -> int:
    """A whole number at a place; 0 where the file has ended."""
    read = _read(file, place, struct.calcsize(form))
    return int(struct.unpack(form, read)[0]) if len(read) == struct.calcsize(form) else 0
