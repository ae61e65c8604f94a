"""Large files: read in parts, to the values that they have as a whole, in little memory."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from data_case import spec
from PIL import Image
from torch.nn import functional

from mmspec.data import encoding, files
from mmspec.data.encode import audio, frames, image, resize, tokens, video
from mmspec.data.source import Opened, Waveform
from mmspec.schema.modality import Image as Pictures


def pictures(height: int, width: int) -> Pictures:
    """A modality of colour pictures."""
    return Pictures(kind="image", size=(height, width), channels=3, patch=1)


def grown(code: str, small: Path, large: Path) -> int:
    """By how many bytes the peak of memory grew over a large file, after a small one."""
    lines = (
        "import sys; from pathlib import Path; from fractions import Fraction",
        "from mmspec.data import files; from mmspec.data.encode import audio, image, tokens",
        "from mmspec.schema.modality import Image, Tokens",
        "state = lambda: open('/proc/self/status').read()",  # getrusage counts the parent's too
        "peak = lambda: 1024 * int(state().partition('VmHWM:')[2].split()[0])",
        f"read = lambda path: {code}",
        "read(Path(sys.argv[1]))",
        "before = peak()",
        "read(Path(sys.argv[2]))",
        "print(peak() - before)",
    )
    given = [sys.executable, "-c", "\n".join(lines), str(small), str(large)]
    return int(subprocess.run(given, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("given", [(31, 53), (7, 3), (64, 128), (1, 19)])
@pytest.mark.parametrize("size", [(5, 11), (41, 37), (7, 29), (16, 2)])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_bands_of_a_picture_are_resized_as_the_whole_is_elsewhere(
    given: tuple[int, int], size: tuple[int, int], rows: int
) -> None:
    light_hwc = np.random.default_rng(3).integers(0, 256, (*given, 3)).astype(np.float64)
    bands = [light_hwc[top : top + rows] for top in range(0, given[0], rows)]
    found = resize.resized(bands, given[0], size)
    pixels = torch.from_numpy(light_hwc.transpose(2, 0, 1).copy())[None]
    other = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    assert np.abs(found - other[0].permute(1, 2, 0).numpy()).max() < 1e-9
    for channel in range(3):
        plane = Image.fromarray(light_hwc[:, :, channel].astype(np.float32))
        shrunk = plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        assert np.abs(found[:, :, channel] - np.asarray(shrunk)).max() < 1e-3


def test_a_picture_in_many_bands_is_the_picture_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (37, 23, 4), np.uint8)
    whole = image.encode(pictures(7, 5), pixels)
    monkeypatch.setattr(image, "_BAND", 50)
    assert (image.encode(pictures(7, 5), pixels) == whole).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_file_read_in_bands_is_what_pillow_reads(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmspec.data.pictures._BAND", 40)
    noise = np.random.default_rng(7).integers(0, 256, (19, 13, 3), np.uint8)
    grey = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257)
    picture = grey if mode == "I;16" else Image.fromarray(noise).convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "F") else "a.png")
    picture.save(path)
    kept = picture.mode if mode not in ("1", "P", "CMYK") else "L" if mode == "1" else "RGB"
    assert (files.image(path) == np.asarray(picture.convert(kept))).all()


def test_a_large_picture_is_held_once_as_bytes(tmp_path: Path) -> None:
    pixels = np.zeros((2000, 3000, 3), np.uint8)
    pixels[::7, ::5] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=1)
    Image.fromarray(pixels[:8, :8]).save(tmp_path / "small.png")
    modality = "Image(kind='image', size=(64, 64), channels=3, patch=16)"
    code = f"image.encode({modality}, files.image(path, (64, 64)))"
    assert grown(code, tmp_path / "small.png", tmp_path / "a.png") < 4 * pixels.nbytes
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    assert grown(code, tmp_path / "small.png", tmp_path / "a.jpg") < pixels.nbytes


def photo(height: int, width: int) -> Any:
    """Noise as in a photo: much of the coarse, little of the fine."""
    y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    falls = 1 / np.maximum(np.hypot(y, x), 1 / max(height, width))
    noise = np.random.default_rng(11).normal(size=(3, height, width))
    planes = np.fft.ifft2(np.fft.fft2(noise + noise.mean(0)) * falls).real
    planes = planes / planes.std() * 50 + 127
    return planes.transpose(1, 2, 0).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("by", [2, 4, 8])
def test_a_photo_reduced_while_it_is_decoded_looks_the_same(
    by: int, turned: int, tmp_path: Path
) -> None:
    height, width = 4 * by * 20, 4 * by * 28
    exif = Image.Exif()
    exif[0x0112] = turned
    path = tmp_path / "a.jpg"
    Image.fromarray(photo(height, width)).save(path, quality=90, exif=exif)
    size = (20, 28) if turned == 1 else (28, 20)
    whole, reduced = files.image(path), files.image(path, size)
    assert whole.shape[:2] == (size[0] * 4 * by, size[1] * 4 * by)
    assert reduced.shape[:2] == (size[0] * 4, size[1] * 4)
    other = image.encode(pictures(*size), whole).astype(int)
    difference = np.abs(image.encode(pictures(*size), reduced).astype(int) - other)
    assert difference.mean() < 0.5 and difference.max() <= 4


@pytest.mark.parametrize(("height", "width"), [(160, 223), (159, 224), (158, 224)])
def test_a_photo_that_is_no_multiple_or_not_large_is_decoded_as_it_is(
    height: int, width: int, tmp_path: Path
) -> None:
    Image.fromarray(photo(height, width)).save(tmp_path / "a.jpg")
    assert files.image(tmp_path / "a.jpg", (20, 28)).shape == (height, width, 3)
    assert files.image(tmp_path / "a.jpg", (20, 30)).shape == (height, width, 3)


def test_a_recording_read_in_blocks_is_the_recording_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(13).normal(size=(7001, 2)).astype(np.float32) / 8
    soundfile.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    whole = audio.log_mel(Waveform(samples.mean(1), 8000), 5, Fraction(100), 1000)
    monkeypatch.setattr(audio, "_AT_ONCE", 7 * 512)
    monkeypatch.setattr(files, "_BLOCK", 999)
    for most in (1000, 60):
        found = files.sound(tmp_path / "a.wav")
        assert isinstance(found, Waveform)
        assert (audio.log_mel(found, 5, Fraction(100), most) == whole[:most]).all()


def test_a_long_recording_is_never_held_as_a_whole(tmp_path: Path) -> None:
    seconds, rate = 600, 44100
    with soundfile.SoundFile(tmp_path / "a.wav", "w", rate, 1, "PCM_16") as file:
        for _ in range(seconds):
            file.write(np.zeros(rate, np.float32))
    soundfile.write(tmp_path / "small.wav", np.zeros(rate, np.float32), rate)
    code = "audio.log_mel(files.sound(path), 8, Fraction(20), 1000000)"
    assert grown(code, tmp_path / "small.wav", tmp_path / "a.wav") < seconds * rate * 4 / 2


def test_a_long_text_is_cut_before_it_becomes_numbers(tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_text("abc")
    (tmp_path / "a.txt").write_bytes(b"some words \n" * (1 << 21))
    modality = "Tokens(kind='tokens', vocab=256, length={'max': 7})"
    code = f"tokens.encode({modality}, files.text(path))"
    assert grown(code, tmp_path / "small.txt", tmp_path / "a.txt") < 12 * (1 << 21) * 5


def test_one_value_more_than_the_longest_is_kept_to_be_counted() -> None:
    found: Any = spec("text", "clip", "motion").modalities
    assert bytes(tokens.encode(found["text"], "abcdefgh").tolist()) == b"abcdef"
    assert tokens.encode(found["text"], list(range(9))).tolist() == [0, 1, 2, 3, 4, 5]
    clip = np.random.default_rng(3).integers(0, 256, (9, 3, 4, 6), np.uint8)
    assert (video.encode(found["clip"], clip) == clip[:4]).all()
    motion = np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32)
    assert (frames.encode(found["motion"], motion) == motion[:12]).all()


PEAK = """
import sys
import numpy as np
import mmspec
from mmspec.data import dataset, encoding, registry, workers
encoding._FILES, workers.count = 1, lambda: 0
path, data = sys.argv[1:]
spec = mmspec.read(path)
column = dataset.encode(registry.load(data, spec), spec).modalities["image"]
for start in range(0, len(column.present), 50):
    column.take(np.arange(start, start + 50), np.ones(50, bool))
print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
"""
SPEC = """
mmspec: 1
name: case
modalities:
  image: {kind: image, size: [64, 64], channels: 3, patch: 16}
streams:
  joint: {from: image, depth: 1, width: 8, heads: 2}
heads:
  label: {from: joint, kind: classifier, classes: 3}
"""


def peak(folder: Path, rows: int) -> int:
    """The most memory of a process that encodes so many pictures and takes all in batches."""
    path = folder / f"{rows}.csv"
    path.write_text("\n".join(["image,label", *(f"{row}.png,{row % 3}" for row in range(rows))]))
    given = [sys.executable, "-c", PEAK, str(folder / "spec.yaml"), str(path)]
    return 1024 * int(subprocess.run(given, check=True, capture_output=True, text=True).stdout)


def test_memory_hardly_grows_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "spec.yaml").write_text(SPEC)
    Image.fromarray(np.full((64, 64, 3), 7, np.uint8)).save(tmp_path / "0.png")
    for row in range(1, 2000):
        (tmp_path / f"{row}.png").write_bytes((tmp_path / "0.png").read_bytes())
    grown = peak(tmp_path, 2000) - peak(tmp_path, 500)
    assert grown < 1500 * 4000 < 1500 * 64 * 64 * 3 / 2


@pytest.mark.parametrize(("rows", "files_from", "large"), [(9, 10, False), (10, 10, True)])
def test_few_small_files_are_read_here(
    rows: int, files_from: int, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_FILES", files_from)
    (tmp_path / "a").write_bytes(b"x")
    cells = [*[str(tmp_path / "a")] * rows, None, 5]
    values = Opened(cells, str, lambda cell: Path(cell) if isinstance(cell, str) else None)
    seen = encoding.survey(values, "", 5)
    assert seen.is_shared == seen.is_large == large
    assert seen.encoded == 5 * (rows + 2)
    monkeypatch.setattr(encoding, "_BYTES", rows)
    assert seen.is_shared
    monkeypatch.setattr(encoding, "_BYTES", rows + 1)
    monkeypatch.setattr(encoding, "_ENCODED", 5 * (rows + 2))
    assert seen.is_large
