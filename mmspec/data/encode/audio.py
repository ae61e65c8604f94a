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


def encode(modality: Frames, raw: Raw) -> NDArray[Any]:
    """float32 [F, features], at most one frame more than the spec's longest.

    Raises MM505 where the shape is wrong, MM506 where a sample is not finite.
    """
    if not isinstance(raw, Waveform):
        return frames.encode(modality, raw)
    if raw.samples.ndim != 1 or raw.rate <= 0:
        message = f"a recording is samples [n] at a rate above 0, not {list(raw.samples.shape)}"
        raise fault("MM505", message, "average its channels")
    finite(raw.samples, "the recording")
    return log_mel(raw, modality.features, modality.rate, modality.length.max + 1)


def log_mel(sound: Waveform, bands: int, rate: Fraction, most: int) -> NDArray[Any]:
    """float32 [F, bands] with `rate` frames a second, F at most `most`; -1 silent, 0 to 1 loud.

    Frame i is centred on the time i / rate; its window is two frames long, at least 25 ms.
    """
    count = min(most, -(-len(sound.samples) * rate.numerator // (sound.rate * rate.denominator)))
    window = int(sound.rate * max(_SHORTEST_WINDOW, 2 / rate))
    centres = np.arange(count) * sound.rate * rate.denominator // rate.numerator
    reach = int(centres[-1]) + window if count else 0
    padded = np.pad(sound.samples[:reach].astype(np.float32), (window // 2, window))
    frames_fw = padded[centres[:, None] + np.arange(window)] * np.hanning(window)
    size = 1 << (max(window, sound.rate // _FINEST) - 1).bit_length()
    power = np.abs(np.fft.rfft(frames_fw, size) / (np.hanning(window).sum() / 2)) ** 2
    levels = np.log10(np.maximum(power @ _filters(sound.rate, size, bands), _FLOOR))
    found: NDArray[Any] = (levels / 4 + 1).astype(np.float32)
    return found


@lru_cache(maxsize=16)
def _filters(rate: int, size: int, bands: int) -> NDArray[Any]:
    """[bins, bands]: triangles whose corners lie evenly on the mel scale from 0 to 8 kHz."""
    highest = 2595 * np.log10(1 + _HIGHEST / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rising, falling))
