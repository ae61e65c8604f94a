"""Files of sound that were cut, or written into a pipe: told, or read to their end."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import soundfile
from data_case import spec

from mmspec.data import dataset, files, registry
from mmspec.data.source import Waveform
from mmspec.diagnostics import MmspecError

FRAMES: Final = 800


def sound(kind: str, subtype: str | None = None, channels: int = 2) -> bytes:
    """Noise of so many frames as a file."""
    out, noise = BytesIO(), np.random.default_rng(3).normal(size=(FRAMES, channels)) / 4
    soundfile.write(out, noise, 8000, subtype, format=kind)
    return out.getvalue()


def outcome(path: Path, content: bytes) -> int | str:
    """How many samples are read of a file, or what is told."""
    path.write_bytes(content)
    try:
        found = files.sound(path)
        assert isinstance(found, Waveform)
        return len(found.samples[0 : len(found.samples)])
    except MmspecError as error:
        (told,) = error.diagnostics
        assert told.code == "MM501" and str(path) in told.message
        return told.message


KINDS: Final = {
    "a.wav": ("WAV", "PCM_16"),
    "u8.wav": ("WAV", "PCM_U8"),
    "24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "law.wav": ("WAV", "ULAW"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "x.wav": ("WAVEX", "PCM_16"),
    "rf64.wav": ("RF64", "PCM_16"),
    "a.w64": ("W64", "PCM_16"),
    "a.aiff": ("AIFF", "PCM_16"),
    "a.au": ("AU", "PCM_16"),
    "a.caf": ("CAF", "PCM_16"),
    "a.flac": ("FLAC", None),
    "a.ogg": ("OGG", "VORBIS"),
    "a.opus": ("OGG", "OPUS"),
    "a.mp3": ("MP3", None),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_cut_anywhere_is_told(name: str, tmp_path: Path) -> None:
    whole = sound(*KINDS[name])
    count = outcome(tmp_path / name, whole)
    assert isinstance(count, int) and count >= FRAMES
    ends = {*range(130), *range(130, len(whole), 97), *range(len(whole) - 12, len(whole))}
    read = [end for end in sorted(ends) if isinstance(outcome(tmp_path / name, whole[:end]), int)]
    assert not read, f"{name} of {len(whole)} bytes is read when cut after {read}"


def wav(said: int, body: bytes, width: int = 2, channels: int = 1, order: str = "<") -> bytes:
    """A WAV of whole numbers whose header says so many bytes of sound."""
    start = b"RIFF" if order == "<" else b"RIFX"
    block = width * channels
    form = struct.pack(f"{order}HHIIHH", 1, channels, 8000, 8000 * block, block, 8 * width)
    length = struct.pack(f"{order}I", min(said + 36, 0xFFFFFFFF))
    size = struct.pack(f"{order}I", 16)
    said_bytes = struct.pack(f"{order}I", said)
    return start + length + b"WAVEfmt " + size + form + b"data" + said_bytes + body


PIPED: Final = {"ffmpeg": 0xFFFFFFFF, "sox": 0x7FFFF000, "arecord": 0x80000000, "sox24": 0x7FFFEFFF}


@pytest.mark.parametrize("said", PIPED.values(), ids=PIPED)
@pytest.mark.parametrize("order", ["<", ">"])
def test_what_was_written_into_a_pipe_is_read_to_its_end(
    said: int, order: str, tmp_path: Path
) -> None:
    values = np.arange(-300, 300, dtype=f"{order}i2")
    path = tmp_path / "a.wav"
    assert outcome(path, wav(said, values.tobytes(), order=order)) == 600
    found = files.sound(path)
    assert isinstance(found, Waveform)
    assert np.array_equal(found.samples[0:600], np.arange(-300, 300) / np.float32(32768))
    assert "is cut: 1 of 2 bytes" in str(outcome(path, wav(said, values.tobytes()[:-1])))
    assert outcome(path, wav(said, bytes(3 * 5) + b"\0", width=3)) == 5, "a byte makes it even"
    assert "1 of 3 bytes" in str(outcome(path, wav(said, bytes(3 * 4) + b"\0", width=3)))
    assert "5 of 6 bytes" in str(outcome(path, wav(said, bytes(41), width=3, channels=2)))


@pytest.mark.parametrize(
    ("said", "there", "part"),
    [
        (600, 599, "599 of 600 bytes of sound"),
        (600, 300, "300 of 600 bytes of sound"),
        (600, 0, "0 of 600 bytes of sound"),
        (0x7EFFFFFE, 600, "600 of 2,130,706,430 bytes of sound"),
        (601, 601, "1 of 2 bytes of its last sample"),
        (0, 600, "0 bytes of sound, and 600 follow"),
        (0, 1, "0 bytes of sound, and 1 follow"),
    ],
)
def test_a_header_that_says_otherwise_is_told(
    said: int, there: int, part: str, tmp_path: Path
) -> None:
    assert part in str(outcome(tmp_path / "a.wav", wav(said, bytes(there))))


def test_what_follows_the_sound_is_no_sound(tmp_path: Path) -> None:
    note = b"LIST" + struct.pack("<I", 5) + b"INFO!\0"
    assert outcome(tmp_path / "a.wav", wav(600, bytes(600) + note)) == 300
    assert outcome(tmp_path / "a.wav", wav(600, bytes(600) + b"???")) == 300
    assert outcome(tmp_path / "a.wav", wav(0, note)) == 0
    assert outcome(tmp_path / "a.wav", wav(0, b"")) == 0
    before = wav(600, bytes(600))
    assert outcome(tmp_path / "a.wav", before[:36] + note + before[36:]) == 300


def test_one_that_is_cut_is_told_with_row_and_column(tmp_path: Path) -> None:
    """However little of it a spec would read, and in whichever half of the split it is."""
    (tmp_path / "good.wav").write_bytes(wav(16000, bytes(16000)))
    (tmp_path / "bad.wav").write_bytes(wav(16000, bytes(15000)))
    rows = [("good.wav", "train"), ("good.wav", "test"), ("bad.wav", "test")]
    lines = (json.dumps({"audio": name, "label": "a", "split": side}) for name, side in rows)
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "rows.csv").write_text(
        "\n".join(["audio,label,split", *(f"{name},a,{side}" for name, side in rows)])
    )
    for name, row in (("rows.jsonl", 3), ("rows.csv", 4)):
        with pytest.raises(MmspecError) as error:
            dataset.encode(registry.load(str(tmp_path / name), spec("audio")), spec("audio"))
        (told,) = error.value.diagnostics
        assert told.code == "MM501" and told.where == f"{name}:{row}, column `audio`"
        assert "15,000 of 16,000 bytes" in told.message
