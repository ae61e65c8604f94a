"""Pictures as pixels: the same picture gives the same pixels, in whatever format it is kept.

As much as a format holds: 16 bits a channel stay, what is transparent gets a channel of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

_ORIENTATION: Final = 0x0112
_LYING: Final = (5, 6, 7, 8)
"""Orientations in EXIF of pictures that are turned by a quarter to stand upright."""
_SPARE: Final = 4
_BAND: Final = 1 << 20
"""Pixels that are converted at a time."""
_PLAIN: Final = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}
_SWAPPED: Final = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_DEEP: Final = {"LA;16B": "RGBA"} | {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in _SWAPPED.items()
}
"""How 16 bits a channel are unpacked in a PNG or TIFF, of which pillow keeps the upper eight; and
how to unpack those that are lost: as the upper ones of swapped pairs, or both, as two channels."""
_SCALES: Final = {"L;2": 85, "L;4": 17}
"""What makes eight bits of fewer."""


def read(path: Path, size: tuple[int, int] | None) -> NDArray[Any]:
    """Pixels [H, W] or [H, W, C] of a picture, upright, the first of several.

    A JPEG much larger than `size` is reduced while it is decoded: no side to less than
    four times the size.
    """
    # by its name pillow would map the file, and turn a mapped TIFF that lies wrongly
    with path.open("rb") as file, Image.open(file) as opened:
        if opened.format == "EPS":
            raise ValueError("EPS is a program and no picture")
        if size is not None and opened.format in ("JPEG", "MPO"):
            _reduce(opened, size)
        packing = _packing(opened)
        clear = opened.info.get("transparency")
        found = _deep(file, opened, packing) if packing in _DEEP else _upright(opened)
        if opened.mode == "I" and opened.format == "PPM":
            return found.astype(np.uint16)  # pillow scales them to 16 bits
        if isinstance(clear, int | tuple) and opened.mode != "P":
            return _cleared(found, np.array(clear) * _SCALES.get(packing, 1))
        return found


def _reduce(opened: Image.Image, size: tuple[int, int]) -> None:
    """Let a JPEG be decoded to a half, a quarter or an eighth, where its sides are multiples."""
    lies = opened.getexif().get(_ORIENTATION, 1) in _LYING
    least = [_SPARE * side for side in (size if lies else size[::-1])]
    for by in (8, 4, 2):
        smaller = (opened.width // by, opened.height // by)
        is_whole = (smaller[0] * by, smaller[1] * by) == opened.size
        if is_whole and smaller[0] >= least[0] and smaller[1] >= least[1]:
            opened.draft(None, smaller)
            return


def _packing(opened: Image.Image) -> str:
    """How a PNG's or TIFF's bytes hold its pixels, in pillow's words; empty for other formats."""
    if not isinstance(opened, PngImageFile | TiffImageFile) or not opened.tile:
        return ""
    args = opened.tile[0].args
    return str(args[0] if isinstance(args, tuple) else args)


class _Pairs(PngImageFile):
    """A PNG of grey and opacity, whose four bytes a pixel are four channels."""

    def _open(self) -> None:
        super()._open()
        self._mode = "RGBA"


def _unpacked(file: BinaryIO, packing: str) -> ImageFile:
    """The picture of a file, its bytes unpacked in another way."""
    file.seek(0)
    other = _Pairs(file) if packing == "RGBA" else Image.open(file)
    assert isinstance(other, ImageFile)
    for index, tile in enumerate(other.tile):
        rest = tile.args[1:] if isinstance(tile.args, tuple) else None
        args = packing if rest is None else (packing, *rest)
        other.tile[index] = tile._replace(args=args)
    return other


def _deep(file: BinaryIO, opened: Image.Image, packing: str) -> NDArray[np.uint16]:
    """All 16 bits of each channel."""
    high = _upright(opened)
    low = _upright(_unpacked(file, _DEEP[packing]))
    if packing == "LA;16B":
        high, low = low[:, :, ::2], low[:, :, 1::2]
    found = high.astype(np.uint16)
    found *= 256
    found += low
    return found


def _upright(opened: Image.Image) -> NDArray[Any]:
    """A picture's pixels, a few rows at a time: it may be large."""
    ImageOps.exif_transpose(opened, in_place=True)
    mode = _plain_mode(opened)
    width, height = opened.size
    rows = max(1, _BAND // max(width, 1))
    one = np.asarray(opened.crop((0, 0, 1, 1)).convert(mode))
    found: NDArray[Any] = np.empty((height, width, *one.shape[2:]), one.dtype)
    for top in range(0, height, rows):
        part = opened.crop((0, top, width, min(top + rows, height)))
        found[top : top + rows] = np.asarray(part if part.mode == mode else part.convert(mode))
    return found


def _plain_mode(opened: Image.Image) -> str:
    """The mode to convert to, so that each channel is a number of light."""
    mode = opened.mode
    if mode[:1] in ("I", "F") or mode in ("L", "LA", "RGB", "RGBA"):
        return mode
    if mode == "P" and "transparency" in opened.info:
        return "RGBA"
    return _PLAIN.get(mode, "RGB")


def _cleared(pixels: NDArray[Any], clear: NDArray[Any]) -> NDArray[Any]:
    """With a channel of opacity: none where a pixel has the colour that stands for clear."""
    colour = pixels if pixels.ndim == 3 else pixels[:, :, None]
    seen = (colour != clear).any(2, keepdims=True)
    opaque = (seen * np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    return np.concatenate([colour, opaque], 2)
