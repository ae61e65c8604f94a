"""What is said of pairs that are too many to be counted, and have no closed form either."""

from __future__ import annotations

from mmspec.diagnostics import Diagnostic, MmspecError

__all__ = ["NotCountedError"]


class NotCountedError(MmspecError):
    """A number that is not known, as finding it would take too long; all others are."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(Diagnostic("MM620", message, help=advice))

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.diagnostics[0].message
