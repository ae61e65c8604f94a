"""Damaged files of every kind that is read: a diagnostic with row and column, or a value."""

from __future__ import annotations

import json
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import soundfile
from data_case import spec
from large import is_deep
from PIL import Image

from mmspec.data import dataset, registry
from mmspec.diagnostics import MmspecError

pytestmark = pytest.mark.deep

COUNT: Final = 2000 if is_deep() else 100
TEXT: Final = "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich\r\n"


def noise() -> np.random.Generator:
    """The same each time."""
    return np.random.default_rng(1)


def numpy_file(values: Any) -> bytes:
    """An array as numpy stores it."""
    out = BytesIO()
    np.save(out, values)
    return out.getvalue()


def picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """Noise as a picture."""
    made = Image.fromarray(noise().integers(0, 256, (9, 17, 3), np.uint8)).convert(mode)
    out = BytesIO()
    made.save(out, kind, **options)
    return out.getvalue()


def sound(kind: str, subtype: str | None = None) -> bytes:
    """Noise as a recording."""
    out = BytesIO()
    soundfile.write(out, noise().normal(size=(800, 2)) / 4, 8000, subtype, format=kind)
    return settled(out.getvalue())


def settled(content: bytes) -> bytes:
    """A recording without what differs each time: a WAV's time of writing, an Ogg's number."""
    peak = content.find(b"PEAK")
    if content.startswith(b"RIFF") and peak > 0:
        return content[: peak + 12] + bytes(4) + content[peak + 16 :]
    if not content.startswith(b"OggS"):
        return content
    pages = [b"OggS" + part for part in content.split(b"OggS")[1:]]
    return b"".join(page[:14] + b"mmsp" + page[18:22] + checked(page) + page[26:] for page in pages)


def checked(page: bytes) -> bytes:
    """The checksum of an Ogg page of that number."""
    value = 0
    for byte in page[:14] + b"mmsp" + page[18:22] + bytes(4) + page[26:]:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 * (value >> 31)) & 0xFFFFFFFF
    return struct.pack("<I", value)


def grey(depth: Any) -> bytes:
    """Noise as grey of any type."""
    out = BytesIO()
    Image.fromarray(noise().integers(0, 2, (9, 17)).astype(depth)).save(out, "TIFF")
    return out.getvalue()


def manifest() -> bytes:
    """A manifest of every kind of column."""
    head = "text,motion,age,side,label,split\r\n"
    rows = [f'"{TEXT}",good.npy,{i}.5,left,"a ""b"", c",train\r\n' for i in range(4)]
    last = 'x,good.npy,1e3,left,"a ""b"", c",test\r\n'
    return (head + "".join(rows) + last).encode()


def lines() -> bytes:
    """The same as JSON lines."""
    row = {"text": TEXT, "motion": [[1, 2, 3.5]], "facts": {"age": -1.5e3, "side": "left"}}
    labels = [{"label": "a", "split": "train"}, {"label": "a", "split": "test"}]
    return "\n".join(json.dumps(row | each) for each in labels * 3).encode()


SEEDS: Final[dict[str, tuple[str, Callable[[], list[bytes]]]]] = {
    "rows.csv": ("", lambda: [manifest()]),
    "rows.jsonl": ("", lambda: [lines()]),
    "a.txt": ("text", lambda: [TEXT.encode() * 3, b"\xef\xbb\xbfa\r\n"]),
    "a.csv": ("motion", lambda: [b"x,y,z\n1,2,3\n4.5,-5e3,6\n", b"1,2,3\r\n" * 20]),
    "a.npy": (
        "motion",
        lambda: [
            numpy_file((100 * noise().random((9, 3))).astype(kind))
            for kind in ("<f8", ">f4", "<i2", "f2", "u8")
        ],
    ),
    "picture.npy": (
        "image",
        lambda: [
            numpy_file(noise().integers(0, 256, (6, 9, 3), np.uint8)),
            numpy_file(noise().integers(0, 65536, (6, 9), np.uint16)),
            numpy_file(noise().random((6, 9, 4))),
        ],
    ),
    "clip.npy": ("clip", lambda: [numpy_file(noise().integers(0, 256, (2, 4, 6, 3), np.uint8))]),
    "a.png": (
        "image",
        lambda: [
            picture("PNG", mode, **options)
            for mode, options in (
                ("RGB", {}),
                ("RGBA", {}),
                ("P", {"transparency": 3}),
                ("1", {}),
                ("L", {"transparency": 3}),
                ("I;16", {}),
                ("LA", {}),
            )
        ],
    ),
    "a.jpg": ("image", lambda: [picture("JPEG"), picture("JPEG", "L"), picture("JPEG", "CMYK")]),
    "a.gif": ("image", lambda: [picture("GIF", "P")]),
    "a.bmp": ("image", lambda: [picture("BMP"), picture("BMP", "P")]),
    "a.webp": ("image", lambda: [picture("WEBP"), picture("WEBP", "RGBA", lossless=True)]),
    "a.tif": (
        "image",
        lambda: [
            picture("TIFF", compression="tiff_lzw"),
            picture("TIFF", "CMYK"),
            grey(np.uint16),
            grey(np.float32),
        ],
    ),
    "a.ppm": ("image", lambda: [picture("PPM"), picture("PPM", "L"), picture("PPM", "I;16")]),
    "a.jp2": ("image", lambda: [picture("JPEG2000")]),
    "a.avif": ("image", lambda: [picture("AVIF")]),
    "a.ico": ("image", lambda: [picture("ICO", "RGBA"), picture("PCX"), picture("SGI")]),
    "a.tga": ("image", lambda: [picture("TGA"), picture("DDS"), picture("MSP", "1")]),
    "a.wav": (
        "audio",
        lambda: [sound("WAV", subtype) for subtype in ("PCM_16", "FLOAT", "ULAW", "IMA_ADPCM")],
    ),
    "a.flac": ("audio", lambda: [sound("FLAC")]),
    "a.ogg": ("audio", lambda: [sound("OGG")]),
    "a.mp3": ("audio", lambda: [sound("MP3")]),
    "a.aiff": ("audio", lambda: [sound("AIFF"), sound("CAF"), sound("W64"), sound("AU")]),
}
"""A kind of file: the column that it stands in (none: it is the manifest), and whole ones."""

FIRST: Final = 96
"""Bytes among which are the headers."""
SPECIAL: Final = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff")
WORDS: Final = (b"9" * 30, b"-1", b"1e999", b"nan", b"(", b"[[", b"{", b'"', b"\r", b",", b"\\")


def damaged(whole: bytes, draw: random.Random) -> bytes:
    """A file with one to four faults."""
    content = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        reach = min(len(content), FIRST) if draw.random() < 0.6 else len(content)
        at = draw.randrange(max(reach, 1))
        fault = draw.randrange(7)
        if fault == 0 and content:
            content[at % len(content)] ^= 1 << draw.randrange(8)
        elif fault == 1:
            content = content[:at]
        elif fault == 2:
            inserted = draw.choice((*SPECIAL, *WORDS, draw.randbytes(draw.randint(1, 9))))
            content[at:at] = inserted
        elif fault == 3:
            written = draw.choice((*SPECIAL, *WORDS))
            content[at : at + len(written)] = written
        elif fault == 4:
            del content[at : at + draw.randint(1, 16)]
        elif fault == 5:
            other = draw.randrange(max(len(content), 1))
            content[at:at] = content[other : other + draw.randint(1, 64)]
        else:
            order, number = draw.choice("<>"), draw.choice((0, 1, 65535, 2**31, 2**32 - 1))
            content[at : at + 4] = struct.pack(f"{order}I", number)
    return mended(bytes(content)) if draw.random() < 0.5 else bytes(content)


def mended(content: bytes) -> bytes:
    """A PNG whose checksums hold again, so that the damage is met further in."""
    head, at, found = content[:8], 8, b""
    if head != b"\x89PNG\r\n\x1a\n":
        return content
    while at + 12 <= len(content):
        size = struct.unpack(">I", content[at : at + 4])[0]
        checked = content[at + 4 : at + 8 + size]
        found += content[at : at + 4] + checked + struct.pack(">I", zlib.crc32(checked))
        at += 12 + size
    return head + found


ALL: Final = ("text", "image", "clip", "audio", "motion", "facts")


def outcome(folder: Path, name: str, column: str, content: bytes) -> str:
    """Empty where a damaged file is read, else what is told about it."""
    (folder / name).write_bytes(content)
    listed = folder / (name if not column else "of.jsonl")
    wanted = spec(column, required=True) if column else spec(*ALL)
    if column:
        rows = [{column: name, "label": "a", "split": side} for side in ("train", "test")]
        listed.write_text("\n".join(map(json.dumps, rows)))
    try:
        dataset.encode(registry.load(str(listed), wanted), wanted)
    except MmspecError as error:
        if column:
            assert all(f"`{column}`" in d.where + d.message for d in error.diagnostics), error
        return str(error)
    return ""


@pytest.mark.parametrize("name", SEEDS)
def test_a_damaged_file_is_told_or_read(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones((2, 3)))
    column, make = SEEDS[name]
    wholes = make()
    for whole in wholes:
        assert outcome(tmp_path, name, column, whole) == ""
    told = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in range(COUNT):
            draw = random.Random(f"{name} {index}")
            content = damaged(draw.choice(wholes), draw)
            try:
                told += bool(outcome(tmp_path, name, column, content))
            except Exception as error:
                raise AssertionError(f"fault {index} of {name}: {content[:400]!r}") from error
    assert told > COUNT / 20
