"""Audio: recordings as logarithms of mel bands, at the rate of frames that the spec gives."""

from __future__ import annotations

import math
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
_PEAK: Final = 1e-12
_FASTEST: Final = 100_000_000
"""Samples a second, at most: what says more is damaged."""
_FEWEST: Final = 4
"""Samples of a window: Hann's is all but 0 in fewer."""


def encode(modality: Frames, raw: Raw) -> NDArray[Any]:
    """float32 [F, features], at most one frame more than the spec's longest.

    Raises MM505 where the shape is wrong, MM506 where a sample or a feature is not finite.
    """
    if not isinstance(raw, Waveform):
        return frames.encode(modality, raw)
    shape = raw.samples.shape if isinstance(raw.samples, np.ndarray) else (len(raw.samples),)
    if len(shape) != 1 or not 0 < raw.rate <= _FASTEST:
        message = (
            f"a recording is samples [n] at 1 to {_FASTEST:,} Hz, not {list(shape)} at {raw.rate}"
        )
        raise fault("MM505", message, "average its channels")
    features = log_mel(raw, modality.features, modality.rate, modality.length.max + 1)
    return finite(features, "the log-mel of the recording")


def log_mel(sound: Waveform, bands: int, rate: Fraction, most: int) -> NDArray[Any]:
    """float32 [F, bands] with `rate` frames a second, F at most `most`; -1 silent.

    1 is a sine of full scale in the middle of the band. Frame i is centred on the time i / rate;
    its window is two frames long, at least 25 ms.
    Only the samples of some frames are held at a time; raises MM506 where one is not finite, and
    where a window has too few to have a spectrum.
    """
    window = np.hanning(_window(sound.rate, rate))
    if len(window) < _FEWEST:
        seen = f"a window has {len(window)}, and they have no spectrum"
        message = f"{sound.rate} samples a second: {seen}"
        raise fault("MM506", message, "lower the `rate` of frames; or kind: series, and an array")
    size = _bins(sound.rate, len(window), bands)
    count, at_once = _frames_of(sound, rate, most), max(1, _AT_ONCE // size)
    found = np.zeros((count, bands), np.float32)
    for first in range(0, count, at_once):
        part = found[first : first + at_once]
        centres = (first + np.arange(len(part))) * sound.rate * rate.denominator // rate.numerator
        frames_fw = _windows(sound, centres, len(window)) * window
        power = np.abs(np.fft.rfft(frames_fw, size)) ** 2
        for band, (low, weights) in enumerate(_filters(sound.rate, len(window), bands)):
            level = (power[:, low : low + len(weights)] * weights).sum(1)
            part[:, band] = np.log10(np.maximum(level, _FLOOR)) / 4 + 1
    return found


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


def _window(samples: int, rate: Fraction) -> int:
    """Samples of a window."""
    return int(samples * max(_SHORTEST_WINDOW, 2 / rate))


def _corners(bands: int) -> NDArray[Any]:
    """Hz of the corners of all bands, evenly on the mel scale from 0 to 8 kHz: [bands + 2]."""
    highest = 2595 * np.log10(1 + _HIGHEST / 700)
    found: NDArray[Any] = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    return found


def _bins(samples: int, window: int, bands: int) -> int:
    """The size of the transform: every band has a bin of its own."""
    finest = min(_FINEST, _corners(bands)[2])
    return 1 << (max(window, int(samples / finest)) - 1).bit_length()


@lru_cache(maxsize=16)
def _filters(rate: int, window: int, bands: int) -> list[tuple[int, NDArray[Any]]]:
    """The first bin of each band and the weights from there: triangles, even on the mel scale.

    Each is divided by what a sine of full scale in its middle leaves; what lies above half the
    rate of samples is cut off.
    """
    size = _bins(rate, window, bands)
    corners = _corners(bands)
    edges = zip(corners, corners[1:], corners[2:], strict=False)
    return [_band(*edge, rate, window, size) for edge in edges]


def _band(
    low: float, middle: float, high: float, rate: int, window: int, size: int
) -> tuple[int, NDArray[Any]]:
    """The first bin of a band, and its weights."""
    bins = np.arange(int(low * size / rate) + 1, int(high * size / rate) + 1)
    hertz = bins * rate / size
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    weights = np.maximum(0, np.minimum(rising, falling))
    away = (hertz - middle) / rate
    power = (_lobe(away, window) / 2) ** 2 * (np.abs(away) <= 1 / 2)
    scaled: NDArray[Any] = weights / (weights * power).sum()
    return int(bins[0]), scaled[bins <= size // 2]


def _lobe(away: NDArray[Any], window: int) -> NDArray[Any]:
    """The spectrum of Hann's window, at frequencies in cycles a sample."""

    def comb(x: NDArray[Any]) -> NDArray[Any]:
        below = np.sin(np.pi * x)
        is_peak = np.abs(below) < _PEAK
        return np.where(is_peak, window, np.sin(np.pi * window * x) / np.where(is_peak, 1, below))

    side = 1 / (window - 1)
    found: NDArray[Any] = comb(away) / 2 + (comb(away - side) + comb(away + side)) / 4
    return found


def settings() -> dict[str, Any]:
    """What the features of a recording follow from, beside what the spec gives."""
    return {
        "recordings": "log-mel",
        "highest_hz": _HIGHEST,
        "shortest_window_seconds": float(_SHORTEST_WINDOW),
        "floor_db": round(10 * math.log10(_FLOOR)),
        "sine_of_full_scale": 1.0,
    }
