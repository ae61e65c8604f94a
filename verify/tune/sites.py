"""The attentions of a plan: who may see whom in each group of heads, and at which lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mmspec.compiler import ir
from mmspec.compiler.emit import sparse
from mmspec.compiler.emit.masks import is_causal
from mmspec.compiler.relations.meaning.sequence import SequenceMask
from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, patterns
from mmspec.verify.costs.visible import undivided, visible_pairs_of
from mmspec.verify.seen import Side, side
from mmspec.verify.tune.arranged import arranged
from mmspec.verify.tune.count import met, tiles
from mmspec.verify.tune.counted import Tiles, Tilings
from mmspec.verify.tune.order import ROWS, Order, Tiling, orders, tiled, tiling
from mmspec.verify.uncounted import Counted

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
        """Visible pairs of a mask in this place. Raises NotCountedError."""
        if mask == FULL:
            return self.sides[0].stop * self.sides[1].stop
        return visible_pairs_of(mask, (self.query, self.key), self.sides)


@dataclass(frozen=True)
class Attention(Counted):
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
    sequence: SequenceMask
    """As the compiler has it."""
    is_sparse: bool
    """Whether the compiled model passes over tiles."""
    is_causal: bool = False
    """Whether the kernel's own causal mask is all that it needs."""

    @property
    def tokens(self) -> tuple[int, int]:
        """Queries and keys."""
        return sum(x.stop for x in self.queries), sum(x.stop for x in self.keys)

    @property
    def is_full(self) -> bool:
        """Whether every query sees every key."""
        full = [shown for shown in self.shown if shown.mask == FULL]
        return len(full) == len(self.queries) * len(self.keys)

    def total(self) -> int:
        """Visible pairs of one head. Raises NotCountedError."""
        return sum(shown.pairs(shown.mask) for shown in self.shown)

    def patterns(self, segment: ir.Segment) -> frozenset[Pattern]:
        """Those of all masks that a segment takes part in."""
        return self._patterns.get(segment.name, frozenset())

    @cached_property
    def _patterns(self) -> dict[str, frozenset[Pattern]]:
        return {name: _patterns_of(s.mask for s in found) for name, found in self._taking.items()}

    @cached_property
    def _taking(self) -> dict[str, list[Shown]]:
        """The masks that each segment takes part in."""
        found: dict[str, list[Shown]] = {}
        for shown in self.shown:
            for name in {shown.query.name, shown.key.name}:
                found.setdefault(name, []).append(shown)
        return found

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """Those worth a look, as they come first; one alone where all is seen."""
        if all(shown.mask == FULL for shown in self.shown):
            return (ROWS,)
        segments = ((segment.geometry, self.patterns(segment)) for segment in self._segments)
        return tuple(dict.fromkeys((*orders(segments), self.compiled)))

    @property
    def _segments(self) -> list[ir.Segment]:
        return list(dict.fromkeys(s for shown in self.shown for s in (shown.query, shown.key)))

    @cached_property
    def compiled(self) -> Order:
        """In which the compiler lays the tokens, where it passes over tiles."""
        if all(shown.mask == FULL for shown in self.shown):
            return ROWS
        by = {side.name: arranged(self.sequence, side.name) for side in self.sequence.sides}
        own = Order("own", segments=tuple(by.items()))
        for order in dict.fromkeys(by.values()):
            if all(self._tiling(s, order) == self._tiling(s, own) for s in self._segments):
                return order
        return own

    def _tiling(self, segment: ir.Segment, order: Order, tokens: int = 64) -> Tiling:
        given = segment.geometry, self.patterns(segment), tokens
        if order.kind == "own":
            return tiled(dict(order.segments)[segment.name], *given)
        return tiling(order, *given)

    def tilings(self, shown: Shown, order: Order, tile: tuple[int, int]) -> Tilings:
        """Of queries and keys of a pair of segments, in an order."""
        return self._tiling(shown.query, order, tile[0]), self._tiling(shown.key, order, tile[1])

    def tilings_with(self, shown: Shown, mask: Mask, tokens: tuple[int, int]) -> Tilings:
        """As the compiler would lay a pair of segments if it had another mask."""
        names = shown.query.name, shown.key.name
        pairs = ((a, b, mask if (a, b) == names else m) for a, b, m in self.sequence.pairs)
        sequence = replace(self.sequence, pairs=tuple(pairs))

        def own(segment: ir.Segment, number: int) -> Tiling:
            others = (s.mask for s in self._taking[segment.name] if s is not shown)
            seen = _patterns_of((mask, *others))
            return tiled(arranged(sequence, segment.name), segment.geometry, seen, number)

        return own(shown.query, tokens[0]), own(shown.key, tokens[1])

    def tiles(self, order: Order, tile: tuple[int, int]) -> list[Tiles] | None:
        """The tiles of each pair of segments; None where one of them is not counted."""
        found = []
        for shown in self.shown:
            one = tiles(shown.mask, *shown.sides, self.tilings(shown, order, tile))
            if one is None:
                return None
            found.append(one)
        return found

    def met(
        self, order: Order, groups: tuple[int, ...]
    ) -> list[tuple[tuple[Tiling, ...], tuple[int, ...]]] | None:
        """Of each pair of segments the queries in groups of so many, and how many keys those of
        each way see, all together; None where one of them is not counted.
        """
        found = []
        for shown in self.shown:
            cut = tuple(self._tiling(shown.query, order, size) for size in groups)
            one = met(shown.mask, *shown.sides, cut, self._tiling(shown.key, order, 64).single)
            if one is None:
                return None
            found.append((cut, one))
        return found


def _patterns_of(masks: Iterable[Mask]) -> frozenset[Pattern]:
    return frozenset(pattern for mask in dict.fromkeys(masks) for pattern in patterns(mask))


def attentions(plan: ir.Plan, lengths: Mapping[str, int]) -> Iterator[Attention]:
    """In the order they run; lengths in tokens by modality, the longest where not named."""
    for node in plan.nodes:
        if isinstance(node, ir.Stack):
            for site in (site for site in node.attentions if site.own):
                yield from _groups(node.stream, "stream", site, lengths)
        elif isinstance(node, ir.Fuse):
            for reading in node.readings():
                if isinstance(reading, ir.Attention) and not reading.own:
                    yield from _groups(node.stream, "fusion", reading, lengths)


def _groups(
    stream: str, kind: str, site: ir.Attention, lengths: Mapping[str, int]
) -> Iterator[Attention]:
    known = [{segment.name: segment for segment in side} for side in site.sides]
    places = [tuple(side(segment, lengths) for segment in segments) for segments in site.sides]
    passes = sparse.passes_over(site, "auto")
    first = 0
    for group, sequence in zip(site.groups, sparse.sequences(site), strict=True):
        shown = tuple(_shown(group.masks, known, lengths))
        yield Attention(
            *(stream, kind, (first, first + group.heads), site.heads, site.head_width),
            *(places[0], places[1], shown, sequence, passes),
            is_causal=is_causal(site),
        )
        first += group.heads


def _shown(
    masks: ir.Pairs, known: list[dict[str, ir.Segment]], lengths: Mapping[str, int]
) -> Iterator[Shown]:
    for query, key, mask in masks:
        segments = known[0][query], known[1][key]
        simple = undivided(mask)
        if simple != NONE:
            places = side(segments[0], lengths), side(segments[1], lengths)
            yield Shown(*segments, simple, places)
