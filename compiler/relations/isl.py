"""isl, the library of integer sets, as everything in mmspec uses it."""

from __future__ import annotations

import islpy as isl

__all__ = ["isl"]

# Else sets that differ in their divisions are joined by guesses, on which isl 0.28 now
# and then read through a null pointer.
isl.DEFAULT_CONTEXT.set_coalesce_preserve_locals(1)
