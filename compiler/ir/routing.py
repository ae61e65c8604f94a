"""Feed-forward layers: dense, gated, and routed to experts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mlp:
    """down(act(up x))."""

    width: int
    activation: str
    bias: bool


@dataclass(frozen=True, slots=True)
class Glu:
    """down(act(gate x) * up x)."""

    width: int
    activation: str
    bias: bool


@dataclass(frozen=True, slots=True)
class Experts:
    """Token-choice experts; balance is the auxiliary coefficient."""

    width: int
    activation: str
    experts: int
    choose: int
    renormalise: bool
    balance: float


@dataclass(frozen=True, slots=True)
class ByModality:
    """One mlp for each segment of the stream."""

    width: int
    activation: str
    bias: bool
    segments: tuple[str, ...]


FeedForward = Mlp | Glu | Experts | ByModality
