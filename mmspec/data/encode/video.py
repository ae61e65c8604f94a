"""Videos: arrays of frames of the size that the spec asks for, eight bits a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode.image import as_bytes, check, light
from mmspec.data.encode.values import described, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw, Waveform
from mmspec.schema.modality import Video


def encode(modality: Video, raw: Raw) -> NDArray[Any]:
    """uint8 [F, C, H, W] of [F, H, W, C], [F, C, H, W] or, with one channel, [F, H, W].

    At most one frame more than the spec's longest.
    Raises MM505 where the shape is another, MM506 where it is not finite.
    """
    if isinstance(raw, Waveform):
        raise fault("MM505", "a recording is no video", "kind: audio, or give an array of frames")
    frames = numbers(raw, "a video", are_pixels=True)
    if frames.size == 0:
        return np.zeros((0, modality.channels, *modality.size), np.uint8)
    first, last = (modality.channels, *modality.size), (*modality.size, modality.channels)
    if frames.ndim == 3 and modality.channels == 1:
        frames = frames[:, None]
    if frames.ndim != 4 or frames.shape[1:] not in (first, last):
        height, width, channels = last
        message = f"a video is [frames, {height}, {width}, {channels}], not {described(frames)}"
        raise fault("MM505", message, _advice(modality, frames))
    if frames.shape[1:] != first:
        frames = frames.transpose(0, 3, 1, 2)
    check(frames, "the video")
    kept = frames[: modality.length.max + 1]
    pixels = np.empty(kept.shape, np.uint8)
    for frame, given in zip(pixels, kept, strict=True):
        frame[:] = as_bytes(light(given))
    return pixels


def _advice(modality: Video, frames: NDArray[Any]) -> str:
    """What to do about frames of another shape."""
    if frames.ndim != 4:
        return "give one array of all frames"
    if modality.channels in (frames.shape[1], frames.shape[3]):
        return "resize its frames, or change `size`"
    return "convert its frames, or change `channels` and `size`"
