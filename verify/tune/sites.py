"""The attentions of a plan: who may see whom in each group of heads, and at which lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from mmspec.compiler import ir
from mmspec.compiler.emit.masks import FULL, NONE, simplify
from mmspec.expressions.mask import Mask, Pattern, patterns
from mmspec.verify.costs.visible import undivided, visible
from mmspec.verify.seen import Side, side
from mmspec.verify.tune.count import tiles
from mmspec.verify.tune.counted import Tiles
from mmspec.verify.tune.order import ROWS, Order, Tiling, orders, tiling

__all__ = ["Attention", "Shown", "attentions"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A mask between two segments, a sample being one document."""

    query: ir.Segment
    key: ir.Segment
    mask: Mask
    sides: tuple[Side, Side]

    @property
    def is_own(self) -> bool:
        """Whether it is of a segment and itself."""
        return self.query == self.key

    def pairs(self, mask: Mask) -> int:
        """Visible pairs of a mask in this place."""
        if not self.sides[0].stop * self.sides[1].stop:
            return 0
        sizes = [s.tokens.symbol or s.tokens.max for s in (self.query, self.key)]
        lengths = {str(symbol): place.stop for symbol, place in zip(sizes, self.sides, strict=True)}
        value = visible(self.query, self.key, mask, (sizes[0], sizes[1])).evaluate(lengths)
        assert isinstance(value, int), value
        return value


@dataclass(frozen=True)
class Attention:
    """One group of heads of a stream, or of a fusion by cross-attention."""

    stream: str
    kind: str
    heads: tuple[int, int]
    """The first, and the one after the last."""
    of: int
    width: int
    queries: tuple[Side, ...]
    keys: tuple[Side, ...]
    shown: tuple[Shown, ...]

    @property
    def tokens(self) -> tuple[int, int]:
        """Queries and keys."""
        return sum(x.stop for x in self.queries), sum(x.stop for x in self.keys)

    @property
    def is_full(self) -> bool:
        """Whether every query sees every key."""
        full = [shown for shown in self.shown if shown.mask == FULL]
        return len(full) == len(self.queries) * len(self.keys)

    @property
    def is_causal(self) -> bool:
        """Whether it is one segment under `causal` alone."""
        alone = len(self.queries) == len(self.keys) == 1
        return alone and [shown.mask for shown in self.shown] == [Pattern("causal")]

    @cached_property
    def visible(self) -> int:
        """Visible pairs of one head."""
        return sum(shown.pairs(shown.mask) for shown in self.shown)

    def patterns(self, segment: ir.Segment) -> frozenset[Pattern]:
        """Those of all masks that a segment takes part in."""
        masks = (s.mask for s in self.shown if segment in (s.query, s.key))
        return frozenset(pattern for mask in masks for pattern in patterns(mask))

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """Those worth a look, as they come first; one alone where all is seen."""
        if all(shown.mask == FULL for shown in self.shown):
            return (ROWS,)
        segments = dict.fromkeys(s for shown in self.shown for s in (shown.query, shown.key))
        return orders((segment.geometry, self.patterns(segment)) for segment in segments)

    def tilings(self, shown: Shown, order: Order, tile: tuple[int, int]) -> tuple[Tiling, Tiling]:
        """Of queries and keys of a pair of segments, in an order."""
        found = (
            tiling(order, segment.geometry, self.patterns(segment), tokens)
            for segment, tokens in zip((shown.query, shown.key), tile, strict=True)
        )
        query, key = found
        return query, key

    def tiles(self, order: Order, tile: tuple[int, int]) -> list[Tiles] | None:
        """The tiles of each pair of segments; None where one of them is not counted."""
        found = []
        for shown in self.shown:
            one = tiles(shown.mask, *shown.sides, self.tilings(shown, order, tile))
            if one is None:
                return None
            found.append(one)
        return found


def attentions(plan: ir.Plan, lengths: Mapping[str, int]) -> Iterator[Attention]:
    """In the order they run; lengths in tokens by modality, the longest where not named."""
    for node in plan.nodes:
        if isinstance(node, ir.Stack):
            layer = node.block.attention
            sides = node.source.segments, node.source.segments
            about = node.stream, "stream", layer.head_width
            yield from _groups(about, layer.groups, sides, lengths)
        elif isinstance(node, ir.Fuse) and node.kind == "cross-attention":
            keys = tuple(s for value in node.sources[1:] for s in value.segments)
            about = node.stream, "fusion", node.out.width // node.heads
            yield from _groups(about, node.groups, (node.sources[0].segments, keys), lengths)


def _groups(
    about: tuple[str, str, int],
    groups: tuple[ir.Group, ...],
    sides: tuple[tuple[ir.Segment, ...], tuple[ir.Segment, ...]],
    lengths: Mapping[str, int],
) -> Iterator[Attention]:
    stream, kind, width = about
    known = [{segment.name: segment for segment in side} for side in sides]
    places = [tuple(side(segment, lengths) for segment in segments) for segments in sides]
    heads = sum(group.heads for group in groups)
    first = 0
    for group in groups:
        shown = tuple(_shown(group.masks, known, lengths))
        span = first, first + group.heads
        yield Attention(stream, kind, span, heads, width, places[0], places[1], shown)
        first += group.heads


def _shown(
    masks: ir.Pairs, known: list[dict[str, ir.Segment]], lengths: Mapping[str, int]
) -> Iterator[Shown]:
    for query, key, mask in masks:
        segments = known[0][query], known[1][key]
        simple = simplify(undivided(mask))
        if simple != NONE:
            places = side(segments[0], lengths), side(segments[1], lengths)
            yield Shown(*segments, simple, places)
