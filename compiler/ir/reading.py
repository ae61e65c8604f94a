"""What tokens read of others: by attention, or of all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.ir.attention import Attention
from mmspec.compiler.ir.tokens import Value


@dataclass(frozen=True, slots=True)
class Pool:
    """Every token of a node reads all tokens of some values: a mean, gates, a head that decides.

    how: in words, the tokens that are read standing for `{key}`. several: nothing is read where
    tokens of one value alone can be there, as a softmax over one is 1.
    """

    how: str
    values: tuple[Value, ...]
    several: bool = False

    @property
    def is_read(self) -> bool:
        """Whether anything is read where all values have tokens."""
        return len(self.values) > self.several


Reading = Attention | Pool
