"""The facade: read, check and compile a spec in Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from mmspec.compiler.ir import Plan
    from mmspec.schema.spec import Spec

PathLike = str | os.PathLike[str]


def read(path: PathLike) -> Spec:
    """The valid Spec at `path`; raises MmspecError with every problem found."""
    from mmspec.compiler import driver

    spec: Any = driver.run(path, "validate")
    return spec  # type: ignore[no-any-return]


def check(path: PathLike) -> None:
    """Raise MmspecError when the spec at `path` is not valid, or its heads see what they learn."""
    plan(path)


def plan(path: PathLike) -> Plan:
    """The Plan that the spec at `path` lowers to."""
    from mmspec.compiler import driver

    lowered: Any = driver.run(path, "lower")
    return lowered  # type: ignore[no-any-return]


def compile(path: PathLike, backend: str = "auto") -> type[nn.Module]:
    """The model class of the spec at `path`, from memory; the same text gives the same class.

    backend: of attention: `auto` passes over tiles where that pays, `tiles` wherever a mask hides
    anything, `sdpa` computes all pairs. `inspect.getsource` and tracebacks show the source.
    Raises MmspecError when the spec is at fault, ValueError for another backend.
    """
    from mmspec.compiler import driver
    from mmspec.compiler.load import load

    if backend not in driver.BACKENDS:
        raise ValueError(f"backend is one of {', '.join(driver.BACKENDS)}, not {backend!r}")
    return load(driver.run(path, "emit", backend=backend))
