"""Which rows a step trains on, what is hidden from them and how they are varied.

Every draw comes from a generator seeded by the seed, its purpose and the epoch or step alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ORDER: Final = 0
_HIDING: Final = 1
_VARYING: Final = 2
_SHIFT: Final = 16
_TURN: Final = 0.12
"""Deviation, about each axis, of the tangent of half a rotation's angle."""


def rows_of(seed: int, step: int, batch: int, total: int) -> Array:
    """The rows of a step (counted from 1) among `total`, int64 [B].

    An epoch is a permutation cut into whole batches; what is left over waits for another epoch.
    A batch holds no row twice, so it is no larger than `total`.
    """
    size = min(batch, total)
    epoch, place = divmod(step - 1, total // size)
    return _order(seed, epoch, total)[place * size : (place + 1) * size]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, total: int) -> Array:
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(total)


def shown(
    present_bm: NDArray[np.bool_], optional_m: Array, share: float, seed: int, step: int
) -> Array:
    """Which modalities a step shows, bool [B, M]: each optional one is hidden with a probability.

    A sample keeps at least one of those it has.
    """
    draws_bm = np.random.default_rng([seed, _HIDING, step]).random(present_bm.shape)
    hidden_bm = (draws_bm < share) & optional_m & present_bm
    kept_bm = present_bm & ~hidden_bm
    empty_b = ~kept_bm.any(1)
    last_b = np.where(present_bm, draws_bm, -1.0).argmax(1)
    kept_bm[empty_b, last_b[empty_b]] = True
    return kept_bm & present_bm


def varying(seed: int, step: int) -> np.random.Generator:
    """The generator of a step's augmentation."""
    return np.random.default_rng([seed, _VARYING, step])


def shifted(image_bchw: Array, source: np.random.Generator) -> Array:
    """Each image moved by up to a sixteenth of its size, its border repeated."""
    batch, _, height, width = image_bchw.shape
    row_bh, column_bw = _moved(height, batch, source), _moved(width, batch, source)
    moved = np.empty_like(image_bchw)
    for image_chw, row_h, column_w, out in zip(image_bchw, row_bh, column_bw, moved, strict=True):
        np.take(image_chw.take(row_h, axis=1), column_w, axis=2, out=out)
    return moved


def _moved(size: int, batch: int, source: np.random.Generator) -> Array:
    """Where each place of a moved axis comes from, int64 [B, size]."""
    offset_b = source.integers(-(size // _SHIFT), size // _SHIFT, batch, endpoint=True)
    places: Array = np.clip(np.arange(size) + offset_b[:, None], 0, size - 1)
    return places


def rotations(batch: int, source: np.random.Generator) -> Array:
    """Rotations in space about any axis, by about 20 degrees: float32 [B, 3, 3].

    A uniform one would hide how a sensor is held, which is half of what a motion looks like.
    """
    q = np.concatenate((np.ones((batch, 1)), _TURN * source.normal(size=(batch, 3))), axis=1)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    found: Array = np.array(rows, np.float32).transpose(2, 0, 1)
    return found


def rotated(series_btf: Array, rotation_bij: Array) -> Array:
    """Each group of three features, taken as a vector in space, turned by its sample's rotation."""
    batch, frames, features = series_btf.shape
    vectors = series_btf.reshape(batch, frames, features // 3, 3)
    turned = np.einsum("bij,btgj->btgi", rotation_bij, vectors)
    found: Array = np.ascontiguousarray(turned.reshape(series_btf.shape), np.float32)
    return found
