"""Feed-forward layers: dense, gated, and routed to experts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Kind:
    """What every feed-forward says; a new one overrides what is otherwise with it."""

    split: ClassVar[bool] = False
    """Whether each segment of a stream has weights of its own."""
    statistics: ClassVar[tuple[tuple[str, str], ...]] = ()
    """What a layer that routes gives besides tokens: names, and fields of the part's `Routing`."""

    @property
    def routes(self) -> bool:
        """Whether tokens go different ways, and the layer says which."""
        return bool(self.statistics)

    @property
    def penalties(self) -> tuple[tuple[str, float], ...]:
        """Auxiliary losses, fields of the part's `Routing`, with their weights."""
        return ()


@dataclass(frozen=True, slots=True)
class Biased(Kind):
    """One whose maps have a bias or not."""

    width: int
    activation: str
    bias: bool
    excepted: tuple[str, ...] = field(default=(), kw_only=True)
    """Those of its maps of which the opposite holds."""

    def has_bias(self, role: str) -> bool:
        """Whether the map of this name has one."""
        return self.bias != (role in self.excepted)


@dataclass(frozen=True, slots=True)
class Mlp(Biased):
    """down(act(up x))."""


@dataclass(frozen=True, slots=True)
class Glu(Biased):
    """down(act(gate x) * up x)."""


@dataclass(frozen=True, slots=True)
class Experts(Kind):
    """Token-choice experts; balance is the auxiliary coefficient."""

    statistics = (("load", "load_e"),)

    width: int
    activation: str
    experts: int
    choose: int
    renormalise: bool
    balance: float
    router_bias: bool = False

    @property
    def penalties(self) -> tuple[tuple[str, float], ...]:
        """Of loads that are not alike."""
        return (("balance", self.balance),) if self.balance else ()


@dataclass(frozen=True, slots=True)
class ByModality(Biased):
    """One mlp for each segment of the stream."""

    split = True

    segments: tuple[str, ...]


FeedForward = Mlp | Glu | Experts | ByModality
