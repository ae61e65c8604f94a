"""Where tokens are told that they stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """How tokens of a modality are placed: the name in the language, and its numbers.

    offset: the number of the first token. Of sines and cosines: interleaved, side by side and not
    all sines first; endpoint, the last of the rates is 1/10000 and not the one after it.
    """

    kind: str
    offset: int = 0
    interleaved: bool = True
    endpoint: bool = False

    @property
    def usual(self) -> bool:
        """Whether sines and cosines are those of Vaswani et al. (2017), the first token's of 0."""
        return self.interleaved and not self.endpoint and not self.offset
