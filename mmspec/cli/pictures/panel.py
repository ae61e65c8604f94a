"""A mask to be drawn: who may see whom in a stream, or in its fusion, at given lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from mmspec.compiler import ir
from mmspec.expressions.mask import Mask, is_packed
from mmspec.verify.blocks import ALL, NONE, SOME, Shades, is_sampled, shades
from mmspec.verify.costs.total import stack_of
from mmspec.verify.costs.visible import visible_pairs_of
from mmspec.verify.seen import Ints, Side, side
from mmspec.verify.uncounted import Counted

TILE: Final = 64
"""Tokens of a tile of a kernel."""

_LEAST_TILE: Final = 4
_TILES_SHOWN: Final = 6
"""Tiles along the longest side that a picture should have at least."""

_MOST_SHOWN: Final = 2**20
"""Tiles of a picture."""


class Cell(IntEnum):
    """What a cell of a picture is."""

    SKIPPED = 0
    """Hidden, in a tile without a visible pair."""
    WASTED = 1
    """Hidden, in a tile with some."""
    PARTLY = 2
    """Of several tokens, with some visible pairs."""
    BORDER = 3
    """Visible, in a tile with hidden pairs."""
    WHOLE = 4
    """Visible, in a tile without."""


@dataclass(frozen=True, slots=True)
class Part:
    """The tokens of a segment."""

    segment: ir.Segment
    side: Side

    @property
    def name(self) -> str:
        """Of the segment."""
        return self.segment.name

    @property
    def tokens(self) -> int:
        """How many there are."""
        return self.side.stop

    def cuts(self, size: int) -> Ints:
        """Where blocks of so many tokens begin, and the end of the last."""
        return np.append(np.arange(0, self.tokens, size), self.tokens)

    def blocks(self, size: int) -> int:
        """How many of them there are."""
        return -(-self.tokens // size)


Axis = tuple[Part, ...]
"""Segments one after another; none of them is empty."""


@dataclass(frozen=True, eq=False)
class Panel(Counted):
    """What a group of heads may see."""

    stream: str
    kind: str
    """`attention`, or `cross-attention` of its fusion."""
    heads: tuple[int, int, int]
    """The first, the one after the last, and how many there are in all."""
    queries: Axis
    keys: Axis
    masks: Mapping[tuple[str, str], Mask]
    _known: dict[tuple[int, int], Shades] = field(default_factory=dict, repr=False)

    @property
    def sizes(self) -> tuple[int, int]:
        """Queries and keys."""
        return (sum(part.tokens for part in self.queries), sum(part.tokens for part in self.keys))

    @property
    def by_heads(self) -> bool:
        """Whether other heads see something else."""
        return self.heads[1] - self.heads[0] < self.heads[2]

    @property
    def single(self) -> Mask | None:
        """The mask, where it is the same for every pair of segments."""
        found = {self.masks.get((q.name, k.name)) for q in self.queries for k in self.keys}
        return found.pop() if len(found) == 1 else None

    @property
    def packed(self) -> bool:
        """Whether documents decide what is visible."""
        return any(map(is_packed, self.masks.values()))

    def blocks(self, tall: int, wide: int) -> Shades:
        """None, some or all of each block's pairs; blocks begin anew with every segment."""
        if (tall, wide) not in self._known:
            self._known[tall, wide] = self._blocks(tall, wide)
        return self._known[tall, wide]

    def _blocks(self, tall: int, wide: int) -> Shades:
        rows = [
            np.concatenate([self._pair(query, key, tall, wide) for key in self.keys], axis=1)
            for query in self.queries
        ]
        return np.concatenate(rows)

    def _pair(self, query: Part, key: Part, tall: int, wide: int) -> Shades:
        mask = self.masks.get((query.name, key.name))
        if mask is None:
            return np.full((query.blocks(tall), key.blocks(wide)), NONE, np.int8)
        return shades(mask, query.side, key.side, query.cuts(tall), key.cuts(wide))

    def sampled(self, tall: int, wide: int) -> bool:
        """Whether some pairs of such blocks stand for the others, which are too many."""
        return any(
            is_sampled(mask, query.side, key.side, query.cuts(tall), key.cuts(wide))
            for query in self.queries
            for key in self.keys
            if (mask := self.masks.get((query.name, key.name))) is not None
        )

    def total(self) -> int:
        """Visible pairs of one head. Raises NotCountedError."""
        return sum(self.counts().values())

    def counts(self) -> dict[tuple[str, str], int]:
        """Visible pairs of each pair of segments that sees anything. Raises NotCountedError."""
        return {
            (query.name, key.name): _count(mask, query, key)
            for query in self.queries
            for key in self.keys
            if (mask := self.masks.get((query.name, key.name))) is not None
        }

    @property
    def density(self) -> float | None:
        """Visible pairs as a share of all; None where they are not counted."""
        queries, keys = self.sizes
        return None if self.visible is None else self.visible / (queries * keys)

    def cells(self, tall: int, wide: int, tile: int) -> Shades:
        """What each cell of a picture is; without tiles where a cell is larger than one."""
        found = self.blocks(tall, wide)
        if max(tall, wide) > tile:
            return np.array([Cell.SKIPPED, Cell.PARTLY, Cell.WHOLE], np.int8)[found]
        rows, columns = (
            tiles_of(axis, size, tile) for axis, size in ((self.queries, tall), (self.keys, wide))
        )
        around = self.blocks(tile, tile)[np.ix_(rows, columns)]
        hidden = np.where(around == NONE, Cell.SKIPPED, Cell.WASTED)
        shown = np.where(around == ALL, Cell.WHOLE, Cell.BORDER)
        some = np.where(found == SOME, Cell.PARTLY, shown)
        return np.where(found == NONE, hidden, some).astype(np.int8)

    def kinds(self, tall: int, wide: int, tile: int) -> list[Cell]:
        """What there is among its cells, the most visible first."""
        found = np.unique(self.cells(tall, wide, tile)).tolist()
        return [Cell(kind) for kind in reversed(found)]


def tiles_of(axis: Axis, size: int, tile: int) -> Ints:
    """The tile of each cell, by its index among those of all segments; `size` divides `tile`."""
    found, first = [], 0
    for part in axis:
        found.append(first + part.cuts(size)[:-1] // tile)
        first += part.blocks(tile)
    return np.concatenate(found)


def fitting(tokens: int, cells: int, tile: int) -> int:
    """The fewest tokens of a cell that need no more cells; it divides a tile, or is several."""
    least = max(-(-tokens // cells), 1)
    if least > tile:
        return -(-least // tile) * tile
    return next(size for size in range(least, tile + 1) if tile % size == 0)


def shown_tile(panel: Panel) -> int:
    """The tile of kernels, or a smaller one where the picture would have few of them.

    A larger one where it would have more than can be looked at in a few seconds.
    """
    tile = TILE
    while -(-panel.sizes[0] // tile) * -(-panel.sizes[1] // tile) > _MOST_SHOWN:
        tile *= 2
    while tile > _LEAST_TILE and tile * _TILES_SHOWN > max(panel.sizes):
        tile //= 2
    return tile


def panels(plan: ir.Plan, stream: str, lengths: Mapping[str, int]) -> list[Panel]:
    """The masks of a stream's attention and of its fusion; lengths by modality, in tokens."""
    found: list[Panel] = []
    for node in plan.nodes:
        if isinstance(node, ir.Fuse) and node.stream == stream:
            for site in node.readings():
                if isinstance(site, ir.Attention) and not site.own:
                    found += _panels(stream, "cross-attention", site, lengths)
    for site in (site for site in stack_of(plan, stream).attentions if site.own):
        found += _panels(stream, "attention", site, lengths)
    return found


def _panels(
    stream: str, kind: str, site: ir.Attention, lengths: Mapping[str, int]
) -> Iterator[Panel]:
    first, queries, keys = 0, _axis(site.queries, lengths), _axis(site.keys, lengths)
    for group in site.groups:
        masks = {(query, key): mask for query, key, mask in group.masks}
        heads = first, first + group.heads, site.heads
        yield Panel(stream, kind, heads, queries, keys, masks)
        first += group.heads


def _axis(segments: Iterable[ir.Segment], lengths: Mapping[str, int]) -> Axis:
    parts = (Part(segment, side(segment, lengths)) for segment in segments)
    return tuple(part for part in parts if part.tokens)


def _count(mask: Mask, query: Part, key: Part) -> int:
    return visible_pairs_of(mask, (query.segment, key.segment), (query.side, key.side))
