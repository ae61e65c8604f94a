"""The topics of Python's own help, as text: what every Python installation can learn to write.

Column `text`: pieces of 256 bytes in order; the last tenth is held out. PSF licence.
"""

from __future__ import annotations

from hashlib import blake2b
from pydoc_data import topics
from typing import Final

import numpy as np

from mmspec.data.source import Report, Source, silent

PIECE: Final = 256


def load(report: Report = silent) -> Source:
    """All topics by name, one after the other, cut in pieces."""
    text = "\n".join(topics.topics[name] for name in sorted(topics.topics)).encode(
        "ascii", "ignore"
    )
    pieces = [text[at : at + PIECE].decode() for at in range(0, len(text) - PIECE, PIECE)]
    held_out = np.arange(len(pieces)) >= len(pieces) * 9 // 10
    rows = [f"topics byte {index * PIECE}" for index in range(len(pieces))]
    digest = blake2b(text, digest_size=8).hexdigest()
    return Source("topics", {"text": pieces}, held_out, rows, f"topics {digest} {PIECE}")
