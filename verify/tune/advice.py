"""The adviser: tiles, waste and speed of every attention of a plan, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from mmspec.compiler import ir
from mmspec.verify.costs.total import tokens
from mmspec.verify.seen import Side
from mmspec.verify.tune.counted import Tiles, Tilings
from mmspec.verify.tune.order import ROWS, Order
from mmspec.verify.tune.proposal import Finding, finding
from mmspec.verify.tune.sites import Attention, attentions
from mmspec.verify.tune.speed import Call, Pieces, Work, pays, speed

__all__ = ["TILES", "Advice", "Row", "advise", "lengths_of", "pieces"]

TILES: Final = ((16, 16), (32, 32), (64, 64), (128, 64), (128, 128))
"""Queries and keys of the tiles that are compared."""

TILE: Final = (64, 64)
"""Those that the compiler works in, and that changes are sought for."""


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
    findings: tuple[Finding, ...]

    @property
    def density(self) -> float:
        """Visible pairs as a share of all."""
        queries, keys = self.attention.tokens
        return self.attention.visible / (queries * keys) if queries * keys else 0.0

    @property
    def order(self) -> Order:
        """In which changes are sought: that of the compiler."""
        return self.attention.compiled

    @property
    def best(self) -> Row:
        """The order in which least is computed in tiles of 64 x 64."""
        rows = [row for row in self.rows if row.tile == TILE and row.executed is not None]
        return min(
            rows,
            key=lambda row: (row.executed or 0, row.order != self.order),
            default=self.row(self.order),
        )

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


def advise(plan: ir.Plan, lengths: Mapping[str, int]) -> tuple[Advice, ...]:
    """Of every attention; lengths in tokens by modality."""
    return tuple(map(_advice, attentions(plan, lengths)))


def _advice(attention: Attention) -> Advice:
    rows = [_row(attention, order, tile) for order in attention.orders for tile in TILES]
    order, words = attention.compiled, _dense(attention)
    if attention.is_sparse and not attention.is_full:
        at = next(i for i, row in enumerate(rows) if (row.order, row.tile) == (order, TILE))
        runs = _pays(attention)
        rows[at] = replace(rows[at], compiled=runs)
        words = f"compiled: sparse, {order}, tiles of {TILE[0]} × {TILE[1]}"
        if not runs:
            words += "; at these lengths one dense call is predicted to be cheaper"
    found = (finding(attention, shown, TILE) for shown in attention.shown)
    return Advice(attention, tuple(rows), words, tuple(x for x in found if x))


def _dense(attention: Attention) -> str:
    """Why the compiler makes one dense call of it, where it does."""
    if attention.is_full:
        return "compiled: all pairs; every query sees every key"
    if attention.is_causal:
        return "compiled: one dense call, by the kernel's own causal mask"
    return "compiled: one dense call; short, or of a mask without loops over tiles"


def _row(attention: Attention, order: Order, tile: tuple[int, int]) -> Row:
    found = attention.tiles(order, tile)
    shape = _shape(attention, order, tile)
    if found is None:
        return Row(order, tile, shape, None, None, None, None, False)
    executed = sum(
        one.touched * prod(tiling.tokens for tiling in attention.tilings(shown, order, tile))
        for shown, one in zip(attention.shown, found, strict=True)
    )
    waste = executed / attention.visible - 1 if attention.visible else None
    predicted = speed(_work(attention), _pieces(attention, found, order, tile), order != ROWS)
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
    return Work(queries, keys, heads * attention.width, call)


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


def _pays(attention: Attention) -> bool:
    """Whether a plan for these lengths is predicted to be sparse."""
    order = attention.compiled
    found = attention.tiles(order, TILE)
    if found is None:
        return True
    return pays(_work(attention), _pieces(attention, found, order, TILE), order != ROWS)
