"""What becomes of the rows of a modality's raw values, before a stream reads them."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.ir.norm import Norm
from mmspec.compiler.ir.position import Position


@dataclass(frozen=True, slots=True)
class Added:
    """What else is given of each token of a modality: a code, or numbers.

    codes: how many there are, numbers: how many of a token; the other is 0. biased: whether the map
    of numbers has a bias.
    """

    modality: str
    name: str
    codes: int
    numbers: int
    biased: bool

    @property
    def key(self) -> str:
        """What a model is given it by."""
        return f"{self.modality}.{self.name}"

    @property
    def module(self) -> str:
        """Its table or map, an attribute of the embedding."""
        return f"added_{self.name}"

    @property
    def shape(self) -> str:
        """Of what is given, in words."""
        return f"float32 [B, T, {self.numbers}]" if self.numbers else "int64 [B, T]"


@dataclass(frozen=True, slots=True)
class Sum:
    """What becomes of the rows of raw values: norm(scale * x + added + position).

    lead: how many learned rows stand before them.
    """

    position: Position
    scale: float = 1.0
    norm: Norm | None = None
    added: tuple[Added, ...] = ()
    lead: int = 0

    @property
    def finishes(self) -> bool:
        """Whether anything is done to rows besides placing them."""
        return self.scale != 1 or self.norm is not None or bool(self.added)
