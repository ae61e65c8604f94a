"""The adviser: tiles, waste and speed of every attention of a plan, and what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Final, Literal

from mmspec.compiler import ir
from mmspec.expressions.mask import FULL, Mask
from mmspec.verify.costs.total import tokens
from mmspec.verify.seen import Side
from mmspec.verify.tune import machine
from mmspec.verify.tune.counted import Tiles, Tilings
from mmspec.verify.tune.order import ROWS, Order, Tiling
from mmspec.verify.tune.proposal import Finding, finding
from mmspec.verify.tune.sites import Attention, Shown, attentions
from mmspec.verify.tune.speed import BLOCK, GROUP, VECTOR, Call, Met, Pieces, Way, Work, pays, speed

__all__ = ["GROUPS", "MANY", "TILES", "Advice", "Row", "advise", "lengths_of", "met", "pieces"]

TILES: Final = ((16, 16), (32, 32), (64, 64), (128, 64), (128, 128))
"""Queries and keys of the tiles that are compared."""

TILE: Final = (64, 64)
"""Those that the compiler works in, and that changes are sought for."""

GROUPS: Final = (GROUP, 32, VECTOR, BLOCK)
"""Queries that native code takes together, and those of a group in smaller tiles."""

MANY: Final = 64
"""Masks between segments of one attention, of which no more are listed, nor passed by tiles."""

_ALL: Final = 24
"""Masks of a plan up to which each is looked at in every tile; of more in the compiler's alone."""

_SOUGHT: Final = 16
"""Masks for which changes are sought where there are more: those of most queries and keys."""

Looked = tuple[Mask, tuple[Side, Side]]
"""A mask and the tokens that it is between."""

_BY: Final[dict[Way, str]] = {"native": "by native code", "calls": "by calls of torch's kernels"}


@dataclass(frozen=True, slots=True)
class Row:
    """An order and a tile; None: not counted."""

    order: Order
    tile: tuple[int, int]
    shape: str
    """The sides of a box, where tiles are boxes."""
    tiles: Tiles | None
    executed: int | None
    """Pairs in the tiles that are touched."""
    waste: float | None
    speed: float | None
    compiled: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """What there is to say of one attention."""

    attention: Attention
    rows: tuple[Row, ...]
    compiled: str
    """What the compiler makes of it, in words."""
    way: Way
    """By whose prices the speeds are predicted."""
    findings: tuple[Finding, ...]
    left: int
    """Masks for which no changes were sought, as there are others of more pairs."""

    @property
    def density(self) -> float | None:
        """Visible pairs as a share of all; None where they are not counted."""
        (queries, keys), visible = self.attention.tokens, self.attention.visible
        if visible is None:
            return None
        return visible / (queries * keys) if queries * keys else 0.0

    @property
    def runs(self) -> Way | Literal["dense"]:
        """What is predicted to run."""
        return self.way if any(row.compiled for row in self.rows) else "dense"

    @property
    def order(self) -> Order:
        """In which changes are sought: that of the compiler."""
        return self.attention.compiled

    @property
    def best(self) -> Row:
        """The order that is best in tiles of 64 x 64, the compiler's where none is better."""
        rows = [row for row in self.rows if row.tile == TILE and row.executed is not None]
        own = self.row(self.order)
        return min(rows, key=lambda row: (-self.gain(row, own), row != own), default=own)

    def gain(self, row: Row, other: Row) -> float:
        """How many times as good one is as another: by native code as fast, by calls of so many
        tiles fewer.
        """
        if self.way == "native":
            return row.speed / other.speed if row.speed and other.speed else 1.0
        return other.executed / row.executed if row.executed and other.executed else 1.0

    @property
    def exact(self) -> tuple[Row, ...]:
        """Orders and tiles in which no tile is partly visible."""
        return tuple(row for row in self.rows if row.tiles is not None and row.tiles.exact)

    def row(self, order: Order, tile: tuple[int, int] = TILE) -> Row:
        """Of an order and a tile."""
        return next(row for row in self.rows if (row.order, row.tile) == (order, tile))


def lengths_of(plan: ir.Plan, given: Mapping[str, int]) -> dict[str, int]:
    """Tokens by modality from frames or tokens; those not named are at their longest."""
    fixed = {item.name: item.tokens.max for item in plan.inputs if item.tokens.symbol is None}
    found = tokens(plan, given)
    del found["B"]
    return (
        found
        | {name: most for name, most in fixed.items() if given.get(name, 1)}
        | {name: 0 for name in fixed if given.get(name) == 0}
    )


def advise(
    plan: ir.Plan, lengths: Mapping[str, int], native: bool | None = None
) -> tuple[Advice, ...]:
    """Of every attention; lengths in tokens by modality.

    native: whether there is native code for attention; None: as on this machine.
    """
    there = machine.has_native_code() if native is None else native
    found = tuple(attentions(plan, lengths))
    hiding = [[shown for shown in one.shown if shown.mask != FULL] for one in found]
    sought = _sought([shown for each in hiding for shown in each])
    pairs = zip(found, hiding, strict=True)
    return tuple(_advice(one, there, masks, sought) for one, masks in pairs)


def _sought(found: Sequence[Shown]) -> frozenset[Looked] | None:
    """The masks that changes are sought for; None: all, as they are few."""
    if len(found) <= _ALL:
        return None
    hiding = list(dict.fromkeys((shown.mask, shown.sides) for shown in found))
    if len(hiding) <= _ALL:
        return None
    hiding.sort(key=lambda one: -prod(side.stop for side in one[1]))
    return frozenset(hiding[:_SOUGHT])


def _advice(
    attention: Attention, native: bool, hiding: list[Shown], sought: frozenset[Looked] | None
) -> Advice:
    """Of an attention, and those of its masks that hide something.

    sought: the masks that changes are sought for, of too many to compare tiles of all sizes.
    """
    way = _work(attention).way(native)
    few = sought is None and len(attention.shown) <= MANY
    sizes = TILES if few else (TILE,)
    rows = [_row(attention, order, tile, way) for order in attention.orders for tile in sizes]
    order, words = attention.compiled, _dense(attention)
    if attention.is_sparse and not attention.is_full:
        at = next(i for i, row in enumerate(rows) if (row.order, row.tile) == (order, TILE))
        asked = machine.forced()
        runs = _pays(attention, way) if asked is None else asked
        rows[at] = replace(rows[at], compiled=runs)
        words = f"compiled: sparse, {order}, tiles of {TILE[0]} × {TILE[1]}, {_BY[way]}"
        if not runs:
            words += "; at these lengths one dense call is predicted to be cheaper"
            if asked is not None:
                words = f"{words.partition(';')[0]}; MMSPEC_TILES=0 asks for one dense call"
    looked = [s for s in hiding if sought is None or (s.mask, s.sides) in sought]
    left = len(hiding) - len(looked)
    looked = list(attention.shown) if few else looked
    found = (finding(attention, shown, TILE) for shown in looked)
    findings = tuple(one for one in found if one)
    return Advice(attention, tuple(rows), words, way, findings, left)


def _dense(attention: Attention) -> str:
    """Why the compiler makes one dense call of it, where it does."""
    if attention.is_full:
        return "compiled: all pairs; every query sees every key"
    if attention.is_causal:
        return "compiled: one dense call, by the kernel's own causal mask"
    if len(attention.shown) > MANY:
        return f"compiled: one dense call; more than {MANY} masks between segments"
    return "compiled: one dense call; short, or of a mask without loops over tiles"


def _row(attention: Attention, order: Order, tile: tuple[int, int], way: Way) -> Row:
    found = attention.tiles(order, tile)
    shape = _shape(attention, order, tile)
    if found is None:
        return Row(order, tile, shape, None, None, None, None, False)
    executed = sum(
        one.touched * prod(tiling.tokens for tiling in attention.tilings(shown, order, tile))
        for shown, one in zip(attention.shown, found, strict=True)
    )
    waste = executed / attention.visible - 1 if attention.visible else None
    cost = _cost(attention, found, order, tile, way)
    predicted = None if cost is None else speed(_work(attention), cost)
    total = sum(found, Tiles(0, 0))
    return Row(order, tile, shape, total, executed, waste, predicted, False)


def _shape(attention: Attention, order: Order, tile: tuple[int, int]) -> str:
    """Boxes by their sides, where there is but one segment; otherwise empty."""
    if order.kind != "boxes" or len(attention.shown) != 1:
        return ""
    (shown,) = attention.shown
    texts = (one.text() for one in attention.tilings(shown, order, tile))
    return ", ".join(dict.fromkeys(texts))


def _work(attention: Attention) -> Work:
    queries, keys = attention.tokens
    heads = attention.heads[1] - attention.heads[0]
    call: Call = "mask"
    if attention.is_full or attention.is_causal:
        call = "full" if attention.is_full else "causal"
    return Work(queries, keys, heads * attention.width, call, heads)


def _cost(
    attention: Attention, found: list[Tiles], order: Order, tile: tuple[int, int], way: Way
) -> float | None:
    """What the attention costs by tiles; None where what native code computes is not counted."""
    if way == "calls":
        parts = _pieces(attention, found, order, tile)
        return _work(attention).by_calls(parts, order != ROWS)
    counted = attention.met(order, GROUPS)
    if counted is None:
        return None
    group = min(tile[0], GROUP)
    return _work(attention).by_native_code(tuple(met(*one, group) for one in counted))


def _pieces(
    attention: Attention, found: list[Tiles], order: Order, tile: tuple[int, int]
) -> tuple[Pieces, ...]:
    return tuple(
        pieces(one, shown.sides, attention.tilings(shown, order, tile))
        for shown, one in zip(attention.shown, found, strict=True)
    )


def pieces(found: Tiles, sides: tuple[Side, Side], tilings: Tilings) -> Pieces:
    """The tiles of a pair of segments, as they are priced."""
    room = prod(t.tokens * t.count(place) for t, place in zip(tilings, sides, strict=True))
    fill = sides[0].stop * sides[1].stop / room if room else 1.0
    tile = tilings[0].tokens, tilings[1].tokens
    return Pieces(sides[0].stop, found.touched, found.inside, tile, fill)


def met(cut: tuple[Tiling, ...], keys: tuple[int, ...], group: int = GROUP) -> Met:
    """What native code computes, given the queries in GROUPS, and how many keys those see."""
    by: dict[int, tuple[Tiling, int]] = dict(zip(GROUPS, zip(cut, keys, strict=True), strict=True))
    pairs = sum(-(-by[size][0].tokens // size) * size * by[size][1] for size in (VECTOR, BLOCK))
    return Met(by[group][1], pairs / 2)


def _pays(attention: Attention, way: Way) -> bool:
    """Whether a plan for these lengths is predicted to be sparse."""
    order = attention.compiled
    found = attention.tiles(order, TILE)
    if found is None:
        return True
    cost = _cost(attention, found, order, TILE, way)
    return cost is None or pays(_work(attention), cost, way)
