"""How fast an attention is predicted to be against one dense call, told by its tiles alone.

The prices are those of the plans that attention on a CPU chooses from, without making a plan.
By native code (`runtime/sparse_groups.py`): a start, each key that a group of queries sees,
each pair of a vector or block of queries and a key that one of them sees, and each query; other
orders of tokens cost nothing. By calls of torch's kernels (`compiler/runtime/sparse_calls.py`): a
start, a call for each band of 16 tiles of queries, each pair of each tile that is touched at the
rate of short calls, partly visible tiles dearer by their mask, each row of a result written and
merged, and tokens put in another order. Dense: one call on every pair, with a mask unless all is
seen, or on half of them where the mask is causal alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Call", "Met", "Pieces", "Way", "Work", "pays", "speed"]

Call = Literal["mask", "causal", "full"]

Way = Literal["native", "calls"]
"""How a sparse attention is computed on a CPU: by native code, or by calls of torch's kernels."""

START: Final = 4e6
CALL: Final = 1.3e6
MASKED: Final = 1.15
SHORT: Final = 1.2
SHORTER: Final = 1.4
ROW: Final = 55.0
ORDER: Final = 60.0
CORNER: Final = 260
BAND: Final = 16
MARGIN: Final = 0.88
LONG: Final = 512
"""Queries that share whole tiles in one call, at the rate of long calls."""

PAIR: Final = 0.68
KEY: Final = 14.0
QUERY: Final = 36.0
GROUP: Final = 64
VECTOR: Final = 16
BLOCK: Final = 8
SURER: Final = 1.14
LEAST: Final = 1 << 22
WIDEST: Final = 256
"""Of native code, whose prices are surer; and how much it takes for it to be used."""


@dataclass(frozen=True, slots=True)
class Met:
    """What groups of queries compute of one pair of segments: keys, and pairs with hidden ones."""

    keys: int
    pairs: float


@dataclass(frozen=True, slots=True)
class Pieces:
    """The tiles of one pair of segments."""

    queries: int
    touched: int
    inside: int
    tile: tuple[int, int]
    fill: float = 1.0
    """Pairs of the segments as a share of those that their tiles could hold: the rest costs not."""

    def cost(self, numbers: int) -> float:
        """Multiply-adds that take as long; `numbers`: heads times their width."""
        tall, wide = self.tile
        if not self.touched:
            return 0.0
        rows = -(-self.queries // tall)
        each = self.inside / rows * wide
        short = SHORTER if tall < 64 else SHORT
        whole = 1.0 if each * tall / LONG >= 64 else short
        partly = self.touched - self.inside
        pairs = (self.inside * whole + partly * MASKED * short) * tall * wide * self.fill
        return -(-rows // BAND) * CALL + numbers * (pairs + ROW * self.queries)


@dataclass(frozen=True, slots=True)
class Work:
    """One attention: all its tokens, heads times their width, and what its one call takes."""

    queries: int
    keys: int
    numbers: int
    call: Call
    heads: int

    def dense(self) -> float:
        """Of one call on everything."""
        seen: float = self.keys
        if self.call == "causal":
            return CALL + self.numbers * self.queries * min(seen, seen / 2 + CORNER)
        short = SHORTER if self.queries < 64 else SHORT if self.queries < 256 else 1.0
        masked = MASKED if self.call == "mask" else 1.0
        return CALL + self.numbers * self.queries * (seen * masked * short + ROW)

    def way(self, native: bool) -> Way:
        """How it is computed by tiles, where native code is there or not: small ones do without."""
        width = self.numbers // self.heads if self.heads else 0
        fits = width <= WIDEST and self.numbers * self.queries * self.keys >= LEAST
        return "native" if native and fits else "calls"

    def by_calls(self, pieces: tuple[Pieces, ...], moved: bool) -> float:
        """Of calls on the tiles that are touched; moved: in an order that is not the tokens'."""
        order = self.numbers * (self.queries + self.keys) * ORDER if moved else 0.0
        return START + sum(piece.cost(self.numbers) for piece in pieces) + order

    def by_native_code(self, met: tuple[Met, ...]) -> float:
        """Of native code, in whichever order."""
        each = sum(one.pairs * PAIR + one.keys * KEY for one in met)
        return START + self.numbers * (each + self.queries * QUERY)


def speed(work: Work, sparse: float) -> float:
    """How many times as fast as dense it is; below 1: slower."""
    return (START + work.dense()) / sparse


def pays(work: Work, sparse: float, way: Way) -> bool:
    """Whether a plan of the CPU would be sparse: it must be clearly cheaper than one call.

    With native code what a dense call costs is measured where it runs; here it costs what it does
    on most machines.
    """
    return sparse < MARGIN * (SURER if way == "native" else 1.0) * work.dense()
