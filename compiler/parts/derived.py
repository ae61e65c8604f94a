"""Modules that keep what follows from their constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from torch import Tensor, nn


class Derived(nn.Module):
    """Buffers that follow from constants: computed, not cast, when device or dtype change."""

    def reset_parameters(self) -> None:
        """Compute them."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.reset_parameters()  # a table that was rounded to a smaller type is exact again
        return self
