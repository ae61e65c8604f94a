"""N-grams: runs of bytes that end with a token, each with a row that a hash finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mmspec.expressions.mask import Mask, parse

PRIME: Final = 2**31 - 1
BASE: Final = 257


@dataclass(frozen=True, slots=True)
class Ngrams:
    """Runs of `sizes` bytes, and the word so far where `words`; none goes back beyond its word.

    buckets: rows for the runs of each size. dropout: of whole runs, in training.
    """

    sizes: tuple[int, ...]
    words: bool
    lower: bool
    buckets: int
    dropout: float

    @property
    def runs(self) -> int:
        """How many end with a token."""
        return len(self.sizes) + self.words

    @property
    def rows(self) -> int:
        """Of the table: those of each size one after the other, those of words last."""
        return self.runs * self.buckets

    @property
    def reads(self) -> Mask:
        """Whose bytes a token is made of."""
        return parse("causal" if self.words else f"window(before={max(self.sizes) - 1})")
