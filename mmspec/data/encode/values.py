"""What encoders share: raw values as finite arrays of numbers, exact where they are whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.faults import fault
from mmspec.data.source import Raw

_ALL_EXACT: Final = 2**24
"""Up to here float32 holds every whole number."""
_WRITTEN_WHOLE: Final = 2**53
"""Up to here a float64 that is whole was meant so; beyond, all of them are."""
_AS_NUMBERS: Final = "write 1 and 0"
_SCALE: Final = "subtract an offset, or scale it: float32 is exact up to 16,777,216"


def numbers(raw: Raw, what: str, are_pixels: bool = False) -> NDArray[Any]:
    """An array of numbers from anything that is one; raises MM505.

    true and false are none, but for arrays of them where those are pixels.
    """
    are_flags = isinstance(raw, np.ndarray) and raw.dtype.kind == "b"
    if _holds_truth(raw) or (are_flags and not are_pixels):
        raise fault("MM505", f"{what} holds true or false, and those are no numbers", _AS_NUMBERS)
    try:
        found = np.asarray(raw)
    except (ValueError, RecursionError):
        raise fault("MM505", f"{what} has rows of different lengths") from None
    if found.dtype.kind == "O" and all(isinstance(each, int | float) for each in found.flat):
        raise fault("MM505", f"{what} holds a whole number too large for any type", _SCALE)
    if found.dtype.kind not in "buif":
        raise fault("MM505", f"{what} is numbers, not {described(raw)}")
    return found


def _holds_truth(raw: Raw) -> bool:
    """Whether a value is true or false, or a list in which one stands."""
    if not isinstance(raw, list | tuple):
        return isinstance(raw, bool | np.bool_)
    kinds = set(map(type, raw))
    if kinds & {bool, np.bool_}:
        return True
    return bool(kinds & {list, tuple}) and any(map(_holds_truth, raw))


def finite(values: NDArray[Any], what: str, start: int = 0) -> NDArray[Any]:
    """The values, if all are finite; raises MM506 with the place of the first that is not.

    `start`: the place of the first value, where these are a part.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        at = tuple(np.argwhere(~np.isfinite(values))[0])
        shown = [int(at[0]) + start, *at[1:]] if at else []
        message = f"{what} holds {values[at]}{_place(shown)}"
        raise fault("MM506", message, "leave the row out, or fill the gap with a number")
    return values


def narrowed(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    """As float32; raises MM506 where one is not finite, MM505 where a whole number would change."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = finite(finite(values, what).astype(np.float32), what)
        for at in map(tuple, np.argwhere(_may_change(values))):
            given, kept = int(values[at]), int(found[at])
            if given != kept:
                message = f"{what} holds {given}{_place(at)}, which would become {kept}"
                raise fault("MM505", message, _SCALE)
    return found


def _may_change(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whole numbers that float32 may not hold."""
    if values.dtype.kind in "iu":
        return np.asarray(np.abs(values) > _ALL_EXACT)
    wide = np.asarray(values, np.longdouble if values.dtype.itemsize > 8 else np.float64)
    is_whole = (wide == np.trunc(wide)) & (wide.astype(np.float32) != wide)
    return np.asarray(is_whole & (np.abs(wide) < _WRITTEN_WHOLE))


def _place(indices: Iterable[Any]) -> str:
    """` at [2, 0]`; nothing for a single number."""
    shown = ", ".join(str(int(index)) for index in indices)
    return f" at [{shown}]" if shown else ""


def described(raw: Raw) -> str:
    """A raw value in a few words."""
    if isinstance(raw, np.ndarray):
        return f"an array of {raw.dtype} {list(raw.shape)}"
    text = str(raw).lower() if isinstance(raw, bool | np.bool_) else repr(raw)
    return f"`{text[:40]}...`" if len(text) > 40 else f"`{text}`"
