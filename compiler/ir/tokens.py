"""Tokens: how many there may be, the runs they stand in, and the values that hold them."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.relations.meaning.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Tokens:
    """A number of tokens: `symbol` at run time, at most `max`; symbol None: exactly `max`."""

    symbol: str | None
    max: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens in a value; modality None: latents. Optional: may hold no token at all."""

    name: str
    tokens: Tokens
    geometry: Geometry
    modality: str | None
    rotary: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Value:
    """Tokens [B, sum of segments, width] with their validity."""

    name: str
    segments: tuple[Segment, ...]
    width: int
