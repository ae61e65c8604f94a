"""Which kernels are compiled, and for which targets: each takes about a second."""

from __future__ import annotations

import re
from dataclasses import replace

from large import is_deep

from mmspec.compiler import aot
from mmspec.compiler.emit.package import Package


def targets(turn: int) -> tuple[int, ...]:
    """One, another at each turn; all of them in `make deep`, as in `make kernels`."""
    if is_deep():
        return aot.TARGETS
    return (aot.TARGETS[turn % len(aot.TARGETS)],)


def only(package: Package, masks: str) -> Package:
    """A package with the kernels of those masks whose names begin so."""
    others = rf'(?ms)^    "(?!{masks})\w+": Kernels\(.*?^    \),\n'
    text = re.sub(others, "", package.files["kernels.py"])
    return replace(package, files={**package.files, "kernels.py": text})
