"""What was made from data once and is read back later: files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


def folder() -> Path:
    """$MMSPEC_CACHE, else mmspec in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("MMSPEC_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(own or os.path.join(base, "mmspec"))


def arrays(name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arrays by name, made the first time.

    A cache that is damaged is made anew; one that cannot be written is no error.
    """
    path = folder() / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        made = make()
    fresh = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.savez(fresh, **made)  # type: ignore[arg-type]  # its stubs take a flag of that type
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    return made
