"""Pictures resized in bands of rows, each pixel the mean of those around it under a triangle.

The triangle reaches one pixel of the coarser of the two grids to each side (antialiased bilinear).
Plain sums in a fixed order: the same bits in any process, however many threads it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def resized(bands: Iterable[Array], height: int, size: tuple[int, int]) -> Array:
    """float64 [*size, C] of the bands, float64 [rows, W, C], of a picture of so many rows."""
    narrow = [_along(band, band.shape[1], size[1], axis=1) for band in bands]
    return _along(np.concatenate(narrow), height, size[0], axis=0)


def _along(values: Array, given: int, wanted: int, axis: int) -> Array:
    """The values with one axis resized."""
    if given == wanted:
        return values
    places, weights = _taps(given, wanted)
    total: Array = np.zeros((*values.shape[:axis], wanted, *values.shape[axis + 1 :]))
    beside = (slice(None), *[None] * (values.ndim - axis - 1))
    for place, weight in zip(places, weights, strict=True):
        total += values.take(place, axis) * weight[beside]
    return total


@lru_cache(maxsize=64)
def _taps(given: int, wanted: int) -> tuple[Array, Array]:
    """The pixels that each new one is a mean of, and their weights: int64 and float64 [taps, new].

    Each new one has as many; those that it does not need weigh nothing.
    """
    step = given / wanted
    reach = max(step, 1.0)
    centres = step * (np.arange(wanted) + 0.5)
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + reach + 0.5).astype(np.int64), given)
    places = first + np.arange((last - first).max())[:, None]
    weights = np.maximum(1 - np.abs(places - centres + 0.5) / reach, 0) * (places < last)
    return np.minimum(places, given - 1), weights / weights.sum(0)
