"""What was made from data once and is read back later: files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def folder() -> Path:
    """$MMSPEC_CACHE, else mmspec in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("MMSPEC_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(own or os.path.join(base, "mmspec"))


def arrays(name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arrays by name, made the first time; a cache that cannot be written is no error."""
    path = folder() / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, KeyError):
        made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.stem}.{os.getpid()}.npz")
        np.savez(fresh, **made)  # type: ignore[arg-type]  # its stubs take a flag of that type too
        fresh.replace(path)
    except OSError:
        return made
    return made
