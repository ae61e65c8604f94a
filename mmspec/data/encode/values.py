"""What encoders share: raw values as finite arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmspec.data.faults import fault
from mmspec.data.source import Raw


def numbers(raw: Raw, what: str) -> NDArray[Any]:
    """An array of numbers from anything that is one; raises MM505."""
    try:
        found = np.asarray(raw)
    except ValueError:
        raise fault("MM505", f"{what} has rows of different lengths") from None
    if found.dtype.kind not in "buif":
        raise fault("MM505", f"{what} is numbers, not {described(raw)}")
    return found


def finite(values: NDArray[Any], what: str, start: int = 0) -> NDArray[Any]:
    """The values, if all are finite; raises MM506 with the place of the first that is not.

    `start`: the place of the first value, where these are a part.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values))
        value = values[tuple(bad[0])]
        bad[0, 0] += start
        place = ", ".join(str(int(index)) for index in bad[0])
        message = f"{what} holds {value} at [{place}]"
        raise fault("MM506", message, "leave the row out, or fill the gap with a number")
    return values


def described(raw: Raw) -> str:
    """A raw value in a few words."""
    if isinstance(raw, np.ndarray):
        return f"an array of {raw.dtype} {list(raw.shape)}"
    text = repr(raw)
    return f"`{text[:40]}...`" if len(text) > 40 else f"`{text}`"
