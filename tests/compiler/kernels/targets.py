"""For which targets kernels are compiled: each takes about two seconds."""

from __future__ import annotations

from large import is_deep

from mmspec.compiler import aot


def targets(turn: int) -> tuple[int, ...]:
    """One, another at each turn; all of them in `make deep`, as in `make kernels`."""
    if is_deep():
        return aot.TARGETS
    return (aot.TARGETS[turn % len(aot.TARGETS)],)
