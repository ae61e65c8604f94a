"""What was made from data once and is read back later: files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec import private

_DIGEST: Final = 32
"""Bytes of the digest that stands before what it is of."""
_LARGEST: Final = 1 << 30


def folder() -> Path:
    """$MMSPEC_CACHE, else mmspec in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("MMSPEC_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(own or os.path.join(base, "mmspec"))


def arrays(name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arrays by name, made the first time.

    A cache that is damaged, or that others could write to, is made anew or done without; one that
    cannot be written is no error.
    """
    own = private.cache()
    if own is None:
        return make()
    path = own / f"{name}.npz"
    kept = private.read(path, _LARGEST) or b""
    digest, content = kept[:_DIGEST], kept[_DIGEST:]
    if sha256(content).digest() == digest:
        with np.load(BytesIO(content), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    made, out = make(), BytesIO()
    np.savez(out, **made)  # type: ignore[arg-type]  # its stubs take a flag of that type
    with suppress(OSError), private.written(path) as fresh:
        fresh.write(sha256(out.getbuffer()).digest())
        fresh.write(out.getbuffer())
    return made
