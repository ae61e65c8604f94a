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
    """Raise MmspecError when the spec at `path` is not valid."""
    read(path)


def plan(path: PathLike) -> Plan:
    """The Plan that the spec at `path` lowers to."""
    from mmspec.compiler import driver

    lowered: Any = driver.run(path, "lower")
    return lowered  # type: ignore[no-any-return]


def compile(path: PathLike) -> type[nn.Module]:
    """The model class of the spec at `path`, from memory; the same text gives the same class.

    `inspect.getsource` and tracebacks show the generated source.
    """
    from mmspec.compiler import driver
    from mmspec.compiler.load import load

    return load(driver.run(path, "emit"))
