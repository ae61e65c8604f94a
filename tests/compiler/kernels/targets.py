"""For which targets kernels are compiled: each takes about two seconds."""

from __future__ import annotations

import os

from mmspec.compiler import aot


def targets(turn: int) -> tuple[int, ...]:
    """One, another at each turn; all of them in `make deep`, as in `make kernels`."""
    if os.environ.get("MMSPEC_PROFILE") == "deep":
        return aot.TARGETS
    return (aot.TARGETS[turn % len(aot.TARGETS)],)
