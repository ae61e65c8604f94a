"""mmspec: declare a multimodal transformer in YAML, compile it to PyTorch, prove what it claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmspec.version import __version__

if TYPE_CHECKING:
    from mmspec.api import check as check
    from mmspec.api import compile as compile
    from mmspec.api import plan as plan
    from mmspec.api import read as read
    from mmspec.diagnostics import MmspecError as MmspecError
    from mmspec.inference.run import load_run as load_run
    from mmspec.weights.stamp import load_weights as load_weights

__all__ = [
    "MmspecError",
    "__version__",
    "check",
    "compile",
    "load_run",
    "load_weights",
    "plan",
    "read",
]


def __getattr__(name: str) -> Any:
    """Load a name of the facade when it is first asked for."""
    if name == "MmspecError":
        from mmspec import diagnostics

        return diagnostics.MmspecError
    if name == "load_run":
        from mmspec.inference import run

        return run.load_run
    if name == "load_weights":
        from mmspec.weights import stamp

        return stamp.load_weights
    if name in __all__:
        from mmspec import api

        return getattr(api, name)
    raise AttributeError(f"module 'mmspec' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names of the facade."""
    return sorted(__all__)
