"""Verification: costs, flow, reference meaning, laws, claims and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmspec.verify.differing import Difference as Difference
    from mmspec.verify.differing import first_difference as first_difference

__all__ = ["Difference", "first_difference"]


def __getattr__(name: str) -> Any:
    """Load a name of the package when it is first asked for."""
    if name in __all__:
        from mmspec.verify import differing

        return getattr(differing, name)
    raise AttributeError(f"module 'mmspec.verify' has no attribute {name!r}")
