"""Tux Paint stamps: a picture, its caption and the caption spoken by a person, in French.

Debian package tuxpaint-stamps-default (GPL-2): loaded, never copied. `python -m mmspec.data.fetch
stamps` brings it. Columns `image`, `text`, `audio` and `label`, the ten folders with at least
twenty such stamps; a fifth of the captions is held out: none, English or French, is on both sides.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data import cache
from mmspec.data.faults import decoding, fault, package_missing
from mmspec.data.source import Report, Source, Waveform, silent
from mmspec.data.split import grouped_folds, linked

LANGUAGE: Final = "fr"
SIZE: Final = 64
RATE: Final = 16_000
LONGEST: Final = 2 * RATE
FEWEST: Final = 20
_VERSION: Final = 2
INSIDE: Final = Path("usr/share/tuxpaint/stamps")
"""Where the package keeps them."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Files of a stamp, its caption in English and in the language spoken, and its category."""

    picture: Path
    speech: Path
    english: str
    caption: str
    category: str


def folder() -> Path:
    """Where `fetch` unpacks the package."""
    return cache.folder() / "stamps"


def load(report: Report = silent) -> Source:
    """The stamps that were fetched; raises MmspecError (MM513) where they were not."""
    root = folder() / INSIDE
    if not root.is_dir():
        advice = "`make stamps`, or python -m mmspec.data.fetch stamps"
        raise fault("MM513", "the Tux Paint stamps are not on this machine", advice)
    return read(root, report)


def read(root: Path, report: Report = silent) -> Source:
    """The stamps below a folder laid out as in the package."""
    try:
        import PIL
        import soundfile
    except ImportError as error:
        raise package_missing(str(error.name), "the set stamps") from None
    assert PIL and soundfile
    stamps = sorted(_stamps(root), key=lambda item: str(item.picture))
    common = {name for name, n in Counter(s.category for s in stamps).items() if n >= FEWEST}
    stamps = [item for item in stamps if item.category in common]
    stamp = f"{LANGUAGE}-{SIZE}-{RATE}-{_digest(stamps)}-{_VERSION}"
    arrays = cache.arrays(f"stamps-{stamp}", lambda: _decode(stamps, report))
    groups = linked([item.english for item in stamps], [item.caption for item in stamps])
    ends = np.cumsum(arrays["samples"])
    sounds = np.split(arrays["audio"], ends[:-1]) if len(ends) else []
    audio = [Waveform(np.float32(1 / 32767) * sound, RATE) for sound in sounds]
    return Source(
        name="stamps",
        columns={
            "image": list(arrays["images"]),
            "text": [item.caption for item in stamps],
            "audio": audio,
            "label": [item.category for item in stamps],
        },
        held_out=grouped_folds(groups) == 0,
        rows=[f"stamps {item.picture.relative_to(root)}" for item in stamps],
        fingerprint=f"stamps {stamp}",
    )


def _stamps(root: Path) -> Iterator[Stamp]:
    """Every stamp with a caption and a recording in the language."""
    for text in root.rglob("*.txt"):
        speech = text.with_name(f"{text.stem}_desc_{LANGUAGE}.ogg")
        pictures = [text.with_suffix(ending) for ending in (".png", ".svg")]
        picture = next((path for path in pictures if path.is_file()), None)
        if picture is None or not speech.is_file() or text.stem.endswith(("_mirror", "_flip")):
            continue
        with decoding(text):
            english, *others = text.read_text(encoding="utf-8").splitlines() or [""]
        prefix = f"{LANGUAGE}.utf8="
        caption = next((line[len(prefix) :] for line in others if line.startswith(prefix)), "")
        if english.strip() and caption.strip():
            category = text.relative_to(root).parts[0]
            yield Stamp(picture, speech, english.strip(), caption.strip(), category)


def _digest(stamps: list[Stamp]) -> str:
    """A hash of every name, size, caption and category."""
    found = blake2b(digest_size=8)
    for item in stamps:
        sizes = [path.stat().st_size for path in (item.picture, item.speech)]
        words = (item.picture.name, item.english, item.caption, item.category)
        found.update(f"{words} {sizes}".encode())
    return found.hexdigest()


def _decode(stamps: list[Stamp], report: Report) -> dict[str, NDArray[Any]]:
    """Pictures uint8 [N, SIZE, SIZE, 3] on white, sounds int16 one after the other, their sizes."""
    pictures, sounds = list[NDArray[np.uint8]](), list[NDArray[np.int16]]()
    for item in stamps:
        with decoding(item.picture):
            pictures.append(_picture(item.picture))
        with decoding(item.speech):
            sounds.append(_sound(item.speech))
        report("decoding stamps", len(sounds), len(stamps))
    sizes = np.array([len(sound) for sound in sounds], np.int64)
    return {"images": np.stack(pictures), "audio": np.concatenate(sounds), "samples": sizes}


def _picture(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    if path.suffix == ".svg":
        opened = Image.open(BytesIO(_rendered(path)))
    else:
        opened = Image.open(path)
    image = opened.convert("RGBA")
    image.thumbnail((SIZE, SIZE))
    canvas = Image.new("RGBA", (SIZE, SIZE), "white")
    canvas.alpha_composite(image, ((SIZE - image.width) // 2, (SIZE - image.height) // 2))
    return np.asarray(canvas.convert("RGB"))


def _rendered(path: Path) -> bytes:
    """A drawing as PNG."""
    try:
        import resvg_py
    except ImportError:
        raise package_missing("resvg-py", "the set stamps") from None
    try:
        done = resvg_py.svg_to_bytes(svg_path=os.fspath(path), width=2 * SIZE)
    except ValueError:  # no view box to scale: at its own size
        done = resvg_py.svg_to_bytes(svg_path=os.fspath(path), dpi=96)
    return bytes(done)


def _sound(path: Path) -> NDArray[np.int16]:
    """One channel at RATE, at most two seconds; resampled by cutting its spectrum."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    count = round(len(mono) * RATE / rate)
    spectrum = np.fft.rfft(mono)[: count // 2 + 1]
    sound = np.fft.irfft(spectrum, count) * (count / max(len(mono), 1))
    loud: NDArray[np.int16] = np.round(np.clip(sound[:LONGEST], -1, 1) * 32767).astype(np.int16)
    return loud
