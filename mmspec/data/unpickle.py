"""Pickles of numpy arrays (protocols 0 to 4), and of nothing that could run."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any, Final

import numpy as np

_MAGIC: Final = b"\x93NUMPY\x01\x00"
_AHEAD: Final = len(_MAGIC) + 2
_MODULES: Final = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
"""Numpy's own, by the names that its versions give them."""


def array(content: bytes) -> Any:
    """What the array of objects holds that a `.npy` file of one dimension 0 is.

    Raises ValueError where anything but arrays, text, numbers, lists and dicts of them is in it.
    """
    if not content.startswith(_MAGIC):
        raise ValueError("it is no .npy file")
    start = _AHEAD + int.from_bytes(content[len(_MAGIC) : _AHEAD], "little")
    try:
        found = _Arrays(BytesIO(content[start:])).load()
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged pickles raise anything
        raise ValueError(f"its pickle is damaged: {error}") from None
    if not isinstance(found, np.ndarray) or found.shape != ():
        raise ValueError("it holds no single object")
    return found.item()


class _Arrays(pickle.Unpickler):
    """Knows how arrays are put together, and no other name."""

    def find_class(self, module: str, name: str) -> Any:
        """The parts of an array; ValueError for all else."""
        if module in _MODULES and name in _PARTS:
            return _PARTS[name]
        if (module, name) == ("_codecs", "encode"):
            return _as_bytes
        raise ValueError(f"it asks for {module}.{name}, which is no part of an array")


def _as_bytes(text: str, encoding: str) -> bytes:
    """How Python 2 wrote bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"it asks for the encoding {encoding}")
    return text.encode("latin-1")


_PARTS: Final[dict[str, Any]] = {
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "_reconstruct": np.zeros(0).__reduce__()[0],
}
