"""Images: the channels and the size that the spec asks for, eight bits a channel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mmspec.data.encode.values import described, finite, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.schema.modality import Image

_WHITE: Final = 255.0
_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601: how bright red, green and blue look."""


def encode(modality: Image, raw: Raw) -> NDArray[Any]:
    """uint8 [C, H, W]; raises MM505 where it is no image, MM506 where it is not finite."""
    light_hwc = _channels(_light(raw), modality.channels)
    light_chw = light_hwc.transpose(2, 0, 1)
    if light_chw.shape[1:] != modality.size:
        light_chw = _resized(light_chw, modality.size)
    pixels: NDArray[Any] = np.rint(light_chw).clip(0, _WHITE).astype(np.uint8)
    return pixels


def _light(raw: Raw) -> NDArray[Any]:
    """float64 [H, W, C], 0 dark to 255 bright, whatever the type it is stored in."""
    pixels = numbers(raw, "an image")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise fault("MM505", f"an image is [H, W] or [H, W, C], not {described(pixels)}")
    return light(pixels, "the image")


def light(pixels: NDArray[Any], what: str) -> NDArray[Any]:
    """float64, 0 dark to 255 bright, of pixels of any type; raises MM505 and MM506."""
    finite(pixels, what)
    top = _top(pixels)
    if pixels.min() < 0 or pixels.max() > top:
        found = f"{pixels.min()} to {pixels.max()}"
        message = f"pixels of {pixels.dtype} are 0 to {top:g}, not {found}"
        raise fault("MM505", message, "scale them, or store them as uint8")
    return pixels.astype(np.float64) * (_WHITE / top)


def _top(pixels: NDArray[Any]) -> float:
    """The value of full brightness."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        return 65535.0
    return 1.0 if pixels.dtype.kind in "bf" else _WHITE


def _channels(light: NDArray[Any], wanted: int) -> NDArray[Any]:
    """[H, W, wanted]: grey and colour into one another, transparency over white."""
    if light.shape[2] == wanted:
        return light
    if light.shape[2] in (2, 4):
        colour, alpha = light[:, :, :-1], light[:, :, -1:] / _WHITE
        light = colour * alpha + _WHITE * (1 - alpha)
    given = light.shape[2]
    if wanted == 1 and given == 3:
        light = (light @ _LUMA)[:, :, None]
    if wanted in (3, 4) and given == 1:
        light = light.repeat(3, axis=2)
    if wanted == 4 and light.shape[2] == 3:
        return np.concatenate([light, np.full_like(light[:, :, :1], _WHITE)], axis=2)
    if light.shape[2] != wanted:
        raise fault("MM505", f"the image has {given} channels, the spec {wanted}")
    return light


def _resized(light_chw: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Stretched to the size, averaging where it shrinks."""
    pixels = torch.from_numpy(np.ascontiguousarray(light_chw))[None]
    sized = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return sized[0].numpy()
