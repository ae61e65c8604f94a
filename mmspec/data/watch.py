"""Smartwatch exercises: 4,677 two-second windows of two sensors, seven exercises, ten people.

The recordings (BSD-3) are a file of the package seglearn 1.2.5, which is read and never imported:
a pickle, so it is read only if it is that very file, and then as arrays alone.
Columns `accelerometer` and `gyroscope` (float32 [100, 3], 50 Hz), `side` and `label`; the people
1 and 2 are held out.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Any, Final

import numpy as np

from mmspec.data import installed, unpickle
from mmspec.data.faults import decoding, fault
from mmspec.data.source import Report, Source, silent

RATE: Final = 50
WINDOW: Final = 2 * RATE
HOP: Final = RATE
HELD_OUT: Final = (1, 2)
INSTALL: Final = "pip install --no-deps seglearn==1.2.5"

SIZE: Final = 18_118_091
DIGEST: Final = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
"""SHA-256 of the file."""


def load(report: Report = silent) -> Source:
    """Every window of every recording.

    Raises MmspecError: MM512 without the file, MM501 where it is another.
    """
    path = installed.file("seglearn", "data/watch_dataset.npy")
    if path is None:
        raise fault("MM512", "the set watch needs seglearn 1.2.5", f"{INSTALL}, or `make watch`")
    with decoding(path):
        content = path.read_bytes() if path.stat().st_size == SIZE else b""
        if sha256(content).hexdigest() != DIGEST:
            raise fault("MM501", f"`{path}` is not the file of seglearn 1.2.5", INSTALL)
        return windows(content)


def windows(content: bytes) -> Source:
    """The windows of a file in seglearn's layout."""
    recordings: dict[str, Any] = unpickle.array(content)
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
    digest = blake2b(content, digest_size=8).hexdigest()
    held = np.array(held_out, np.bool_)
    return Source("watch", columns, held, rows, f"watch {digest} {WINDOW} {HOP}")
