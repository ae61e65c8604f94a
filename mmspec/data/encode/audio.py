"""Audio: recordings as logarithms of mel bands, at the rate of frames that the spec gives."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode import frames
from mmspec.data.encode.values import finite
from mmspec.data.faults import fault
from mmspec.data.source import Raw, Waveform
from mmspec.schema.modality import Frames

_HIGHEST: Final = 8000.0
"""Hz: the bands are the same whatever rate a recording has."""
_SHORTEST_WINDOW: Final = Fraction(25, 1000)
_FINEST: Final = 20
"""Hz between the bins of a spectrum, at most."""
_FLOOR: Final = 1e-8
_AT_ONCE: Final = 1 << 20
"""Samples of windows that are transformed at a time."""


def encode(modality: Frames, raw: Raw) -> NDArray[Any]:
    """float32 [F, features], at most one frame more than the spec's longest.

    Raises MM505 where the shape is wrong, MM506 where a sample is not finite.
    """
    if not isinstance(raw, Waveform):
        return frames.encode(modality, raw)
    shape = raw.samples.shape if isinstance(raw.samples, np.ndarray) else (len(raw.samples),)
    if len(shape) != 1 or raw.rate <= 0:
        message = f"a recording is samples [n] at a rate above 0, not {list(shape)} at {raw.rate}"
        raise fault("MM505", message, "average its channels")
    return log_mel(raw, modality.features, modality.rate, modality.length.max + 1)


def log_mel(sound: Waveform, bands: int, rate: Fraction, most: int) -> NDArray[Any]:
    """float32 [F, bands] with `rate` frames a second, F at most `most`; -1 silent, 0 to 1 loud.

    Frame i is centred on the time i / rate; its window is two frames long, at least 25 ms.
    Only the samples of some frames are held at a time; raises MM506 where one is not finite.
    """
    window = np.hanning(int(sound.rate * max(_SHORTEST_WINDOW, 2 / rate)))
    size = 1 << (max(len(window), sound.rate // _FINEST) - 1).bit_length()
    count, at_once = _frames_of(sound, rate, most), max(1, _AT_ONCE // size)
    found = np.zeros((count, bands), np.float32)
    for first in range(0, count, at_once):
        part = found[first : first + at_once]
        centres = (first + np.arange(len(part))) * sound.rate * rate.denominator // rate.numerator
        frames_fw = _windows(sound, centres, len(window)) * window
        power = np.abs(np.fft.rfft(frames_fw, size) / (window.sum() / 2)) ** 2
        for band, (low, weights) in enumerate(_filters(sound.rate, size, bands)):
            level = (power[:, low : low + len(weights)] * weights).sum(1)
            part[:, band] = np.log10(np.maximum(level, _FLOOR)) / 4 + 1
    return found[: _frames_of(sound, rate, most)]


def _frames_of(sound: Waveform, rate: Fraction, most: int) -> int:
    """How many frames a recording has, at most `most`."""
    return min(most, -(-len(sound.samples) * rate.numerator // (sound.rate * rate.denominator)))


def _windows(sound: Waveform, centres: NDArray[Any], window: int) -> NDArray[Any]:
    """float32 [F, window]: the samples around each centre, zeros where there are none."""
    start, stop = int(centres[0]) - window // 2, int(centres[-1]) + window - window // 2
    samples = finite(sound.samples[max(start, 0) : stop], "the recording", max(start, 0))
    padded = np.zeros(stop - start, np.float32)
    padded[max(-start, 0) :][: len(samples)] = samples
    found: NDArray[Any] = padded[centres[:, None] - centres[0] + np.arange(window)]
    return found


@lru_cache(maxsize=16)
def _filters(rate: int, size: int, bands: int) -> list[tuple[int, NDArray[Any]]]:
    """The first bin of each band and the weights from there: triangles, even on the mel scale.

    Their corners lie from 0 to 8 kHz.
    """
    highest = 2595 * np.log10(1 + _HIGHEST / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return [_trimmed(weights) for weights in np.maximum(0, np.minimum(rising, falling)).T]


def _trimmed(weights: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """Weights without the zeros around them, and the place of the first."""
    places = np.flatnonzero(weights)
    if not len(places):
        return 0, weights[:0]
    return int(places[0]), weights[places[0] : places[-1] + 1]
