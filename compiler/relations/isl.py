"""isl, the library of integer sets, as everything in mmspec uses it."""

from __future__ import annotations

import islpy as isl

__all__ = ["isl"]

# Otherwise isl joins sets that differ in their divisions by guesses, for some of which 0.28 reads
# through a null pointer.
isl.DEFAULT_CONTEXT.set_coalesce_preserve_locals(1)
