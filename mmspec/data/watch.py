"""Smartwatch exercises: 4,677 two-second windows of two sensors, seven exercises, ten people.

The recordings (BSD-3) are a file of the package seglearn 1.2.5, which is read and never imported.
Columns `accelerometer` and `gyroscope` (float32 [100, 3], 50 Hz), `side` and `label`; the people
1 and 2 are held out.
"""

from __future__ import annotations

from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from mmspec.data.faults import fault
from mmspec.data.source import Source

RATE: Final = 50
WINDOW: Final = 2 * RATE
HOP: Final = RATE
HELD_OUT: Final = (1, 2)
INSTALL: Final = "pip install --no-deps seglearn==1.2.5"


def load() -> Source:
    """Every window of every recording; raises MmspecError (MM512) without the file."""
    found = find_spec("seglearn")
    path = (
        Path(found.origin).parent / "data" / "watch_dataset.npy" if found and found.origin else None
    )
    if path is None or not path.is_file():
        raise fault("MM512", "the set watch needs seglearn 1.2.5", f"{INSTALL}, or `make watch`")
    return windows(path)


def windows(path: Path) -> Source:
    """The windows of a file in seglearn's layout."""
    recordings: dict[str, Any] = np.load(path, allow_pickle=True).item()
    names = [str(name) for name in recordings["y_labels"]]
    columns: dict[str, list[Any]] = {k: [] for k in ("accelerometer", "gyroscope", "side", "label")}
    held_out: list[bool] = []
    rows: list[str] = []
    for index, signal in enumerate(recordings["X"]):
        for start in range(0, len(signal) - WINDOW + 1, HOP):
            window = np.asarray(signal[start : start + WINDOW], np.float32)
            columns["accelerometer"].append(window[:, :3])
            columns["gyroscope"].append(window[:, 3:])
            columns["side"].append({"side": int(recordings["side"][index])})
            columns["label"].append(names[int(recordings["y"][index])])
            held_out.append(int(recordings["subject"][index]) in HELD_OUT)
            rows.append(f"watch {index} at {start / RATE:g} s")
    digest = blake2b(path.read_bytes(), digest_size=8).hexdigest()
    held = np.array(held_out, np.bool_)
    return Source("watch", columns, held, rows, f"watch {digest} {WINDOW} {HOP}")
