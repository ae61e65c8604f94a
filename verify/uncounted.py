"""What is said of pairs that are too many to be counted, and have no closed form either."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

from mmspec.diagnostics import Diagnostic, MmspecError

__all__ = ["Counted", "NotCountedError"]


class NotCountedError(MmspecError):
    """A number that is not known, as finding it would take too long; all others are."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(Diagnostic("MM620", message, help=advice))

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.diagnostics[0].message


class Counted(ABC):
    """What shows pairs of tokens, where these may be too many to count."""

    @abstractmethod
    def total(self) -> int:
        """Visible pairs of one head. Raises NotCountedError."""

    @property
    def visible(self) -> int | None:
        """Visible pairs of one head; None where they are not counted."""
        return self._counted[0]

    @property
    def uncounted(self) -> str:
        """Why they are not; empty where they are."""
        return self._counted[1]

    @cached_property
    def _counted(self) -> tuple[int | None, str]:
        try:
            return self.total(), ""
        except NotCountedError as error:
            return None, error.reason
