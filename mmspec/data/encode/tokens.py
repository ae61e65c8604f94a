"""Tokens: the UTF-8 bytes of text, or ids as they are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mmspec.data.encode.values import described, finite, numbers
from mmspec.data.faults import fault
from mmspec.data.source import Raw
from mmspec.schema.modality import Tokens

BYTES: Final = 256


def encode(modality: Tokens, raw: Raw) -> NDArray[Any]:
    """int64 [T], at most one more than the spec's longest.

    Raises MM505 where it is neither text nor ids, MM506, MM507 for an id too high.
    """
    if isinstance(raw, str):
        if modality.vocab < BYTES:
            message = f"text is {BYTES} kinds of bytes, and the vocabulary has {modality.vocab}"
            raise fault("MM505", message, f"vocab: {BYTES}, or give ids")
        try:
            found = np.frombuffer(raw.encode(), np.uint8)
        except UnicodeEncodeError:
            raise fault("MM505", f"{described(raw)} holds half of a character") from None
        return found[: modality.length.max + 1].astype(np.int64)
    ids = finite(numbers(raw, "a sequence of tokens"), "the sequence")
    if ids.ndim != 1 or not (ids.dtype.kind in "iuf" and (ids == np.trunc(ids)).all()):
        raise fault("MM505", f"tokens are text or a list of ids, not {described(raw)}")
    outside = ids[(ids < 0) | (ids >= modality.vocab)]
    if outside.size:
        message = f"token {int(outside[0])} is not in 0 to {modality.vocab - 1}"
        raise fault("MM507", message, "raise vocab, or mend the ids")
    return ids[: modality.length.max + 1].astype(np.int64)
