"""Who says how weights start: each part by itself, or one method of the model for all of them."""

from __future__ import annotations

STARTS: bool = True
"""Whether parts draw weights; the emitter says False where `Model.initialise` draws all of them."""
