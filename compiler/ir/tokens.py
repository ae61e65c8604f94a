"""Tokens: how many there may be, the runs they stand in, and the values that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmspec.compiler.relations.meaning.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Tokens:
    """A number of tokens: `symbol` at run time, at most `max`; symbol None: exactly `max`."""

    symbol: str | None
    max: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens in a value; modality None: learned ones. Optional: may hold no token at all.

    leads: of learned tokens in front of a modality's, that modality; None: latents.
    """

    name: str
    tokens: Tokens
    geometry: Geometry
    modality: str | None
    rotary: bool
    optional: bool
    leads: str | None = None

    @property
    def said(self) -> str:
        """Its name in a spec: `image.cls` of the segment `image_cls`."""
        lead = self.name.removeprefix(f"{self.leads}_")
        return self.name if self.leads is None else f"{self.leads}.{lead}"

    def count(self, lengths: Mapping[str, int]) -> int:
        """How many there are at lengths of modalities in tokens, the most where one is not told."""
        if self.leads is not None and lengths.get(self.leads) == 0:
            return 0
        return lengths.get(self.modality or "", self.tokens.max)


@dataclass(frozen=True, slots=True)
class Value:
    """Tokens [B, sum of segments, width] with their validity."""

    name: str
    segments: tuple[Segment, ...]
    width: int
