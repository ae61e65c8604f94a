"""Series, and audio as features: frames of numbers, as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode.values import described, narrowed, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw, Waveform
from mmspec.schema.modality import Frames


def encode(modality: Frames, raw: Raw) -> NDArray[Any]:
    """float32 [F, features], at most one frame more than the spec's longest.

    Raises MM505 where shape or a whole number do not fit, and MM506.
    """
    if isinstance(raw, Waveform):
        raise fault("MM505", "a recording is no series", "kind: audio, or give an array")
    frames = numbers(raw, f"a value of kind {modality.kind}")
    if frames.ndim == 1 and modality.features == 1:
        frames = frames[:, None]
    if frames.ndim and frames.size == 0:
        return np.zeros((0, modality.features), np.float32)
    if frames.ndim == 0:
        message = f"{described(raw)}, expected an array [frames, {modality.features}]"
        raise fault("MM505", message, "one frame is a list in a list: [[1, 2, 3]]")
    if frames.ndim != 2 or frames.shape[1] != modality.features:
        message = f"an array {list(frames.shape)}, expected [frames, {modality.features}]"
        advice = "transpose it" if frames.shape[0] == modality.features else "or change `features`"
        if frames.ndim == 2 and frames.shape[1] == 2 * modality.features:
            advice += "; in text a number has a point before its decimals, no comma"
        raise fault("MM505", message, advice)
    return narrowed(frames, "the array")[: modality.length.max + 1]
