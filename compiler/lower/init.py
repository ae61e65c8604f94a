"""How weights start: what an `init` says of all of them at once."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema.init import Gpt2, Init, Normal, TruncatedNormal


def lower(init: Init) -> ir.Normal | None:
    """One distribution for all weights; None where each part has its own."""
    if isinstance(init, Gpt2):
        return ir.Normal(0.02, 0, by_depth=True)
    if isinstance(init, Normal):
        return ir.Normal(init.std, 0, by_depth=False)
    if isinstance(init, TruncatedNormal):
        return ir.Normal(init.std, 2, by_depth=False)
    return None
