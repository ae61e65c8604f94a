"""Series, and audio as features: frames of numbers, as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode.values import finite, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw, Waveform
from mmspec.schema.modality import Frames


def encode(modality: Frames, raw: Raw) -> NDArray[Any]:
    """float32 [F, features]; raises MM505 where the shape is another, MM506 where not finite."""
    if isinstance(raw, Waveform):
        raise fault("MM505", "a recording is no series", "kind: audio, or give an array")
    frames = numbers(raw, f"a value of kind {modality.kind}")
    if frames.ndim == 1 and modality.features == 1:
        frames = frames[:, None]
    if frames.size == 0:
        return np.zeros((0, modality.features), np.float32)
    if frames.ndim != 2 or frames.shape[1] != modality.features:
        message = f"an array {list(frames.shape)}, expected [frames, {modality.features}]"
        advice = "transpose it" if frames.shape[0] == modality.features else "or change `features`"
        raise fault("MM505", message, advice)
    return finite(frames.astype(np.float32), "the array")
