"""Images: the channels and the size that the spec asks for, eight bits a channel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode.resize import resized
from mmspec.data.encode.values import described, finite, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.schema.modality import Image

_WHITE: Final = 255.0
_BAND: Final = 1 << 18
"""Pixels that are numbers at a time: a large picture stays bytes."""
_MOST: Final = 4
"""Channels that have a meaning: red, green, blue and opacity."""
_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601: how bright red, green and blue look."""


def encode(modality: Image, raw: Raw) -> NDArray[Any]:
    """uint8 [C, H, W]; raises MM505 where it is no image, MM506 where it is not finite."""
    pixels = _pixels(raw)
    check(pixels, "the image")
    height, width, _ = pixels.shape
    rows = max(1, _BAND // width)
    parts = (pixels[start : start + rows] for start in range(0, height, rows))
    bands = (_channels(light(part), modality.channels) for part in parts)
    sized_chw = resized(bands, height, modality.size).transpose(2, 0, 1)
    return np.ascontiguousarray(as_bytes(sized_chw))


def _pixels(raw: Raw) -> NDArray[Any]:
    """[H, W, C] of any type; raises MM505 where it is no image."""
    pixels = numbers(raw, "an image", are_pixels=True)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise fault("MM505", f"an image is [H, W] or [H, W, C], not {described(pixels)}")
    return pixels


def check(pixels: NDArray[Any], what: str) -> None:
    """Raise MM506 where a pixel is not finite, MM505 where it is outside what its type holds."""
    finite(pixels, what)
    top = _top(pixels)
    if pixels.min() < 0 or pixels.max() > top:
        found = f"{pixels.min()} to {pixels.max()}"
        message = f"pixels of {pixels.dtype} are 0 to {top:g}, not {found}"
        raise fault("MM505", message, "scale them, or store them as uint8")


def light(pixels: NDArray[Any]) -> NDArray[Any]:
    """float64, 0 dark to 255 bright, of pixels of any type."""
    return pixels.astype(np.float64) * (_WHITE / _top(pixels))


def as_bytes(light: NDArray[Any]) -> NDArray[np.uint8]:
    """The nearest of 256 levels."""
    levels: NDArray[np.uint8] = np.rint(light).clip(0, _WHITE).astype(np.uint8)
    return levels


def _top(pixels: NDArray[Any]) -> float:
    """The value of full brightness."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        return 65535.0
    return 1.0 if pixels.dtype.kind in "bf" else _WHITE


def _channels(light: NDArray[Any], wanted: int) -> NDArray[Any]:
    """[H, W, wanted]: 1 is grey, 3 colour; 2 and 4 have opacity too, 1 and 3 stand on white."""
    given = light.shape[2]
    if given == wanted:
        return light
    if max(given, wanted) > _MOST:
        raise fault("MM505", f"the image has {given} channels, the spec {wanted}")
    colour = light[:, :, : given - 1 + given % 2]
    opacity = light[:, :, -1:] if given % 2 == 0 else np.full_like(light[:, :, :1], _WHITE)
    if wanted % 2:
        colour = (colour * opacity + _WHITE * (_WHITE - opacity)) / _WHITE
    if wanted < 3 <= colour.shape[2]:
        colour = (colour * _LUMA).sum(2, keepdims=True)
    if wanted >= 3 > colour.shape[2]:
        colour = colour.repeat(3, axis=2)
    return colour if wanted % 2 else np.concatenate([colour, opacity], axis=2)
