"""Packed documents: which modalities a spec asks them of, and whether they stay separate.

They do where no token may depend on another document, in any head of any layer; then positions
begin anew in each document, and no token is trained on the first of the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache, partial
from typing import Final

from mmspec.expressions.mask import FULL, NONE, And, Mask, Not, Or, Pattern, drawn, fold, patterns
from mmspec.schema.attention import FULL as EVERYTHING
from mmspec.schema.attention import Attention
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import Segment, Wiring, resolve
from mmspec.verify.reference.attention import mask_of_pair
from mmspec.verify.reference.layers import attending
from mmspec.verify.reference.masks import BLOCK, sight
from mmspec.verify.reference.modality import layout
from mmspec.verify.reference.places import Layout, Side

Masks = Iterator[tuple[str, str, Mask]]
Segments = tuple[Segment, ...]
Sizes = dict[str, int]

_NEAR: Final = 64
"""Tokens that are looked at, besides twice as many as a mask speaks of."""


def separate(spec: Spec) -> frozenset[str]:
    """Modalities whose documents are asked for and stay apart."""
    asked, wiring = frozenset(packed(spec)), resolve(spec)
    mixed = any(_mixes(spec, wiring, name, asked) for name in spec.streams) if asked else False
    mixed = mixed or any(getattr(spec.modalities[name], "ngrams", None) for name in asked)
    return frozenset() if mixed else asked


def places(documents: tuple[int, ...]) -> tuple[int, ...]:
    """Where each token stands in its document."""
    found: list[int] = []
    for i, document in enumerate(documents):
        found.append(found[-1] + 1 if i and documents[i - 1] == document else 0)
    return tuple(found)


def _mixes(spec: Spec, wiring: Wiring, name: str, asked: frozenset[str]) -> bool:
    """Whether something in a stream reads several documents."""
    config = spec.streams[name]
    sources = [wiring.source_segments(source) for source in wiring.sources[name]]
    pooled = config.source.pooled(tuple(sources))
    own, seen = wiring.segments[name], config.source.context
    if len(pooled) >= config.source.least and any(_any(group, asked) for group in pooled):
        return True
    if seen is not None:
        context = tuple(segment for group in sources[1:] for segment in group)
        if _meets(spec, seen, (sources[0], context), asked):
            return True
    if _any(own, asked) and config.halting and config.halting.decides(config.depth):
        return True
    if any(
        _meets(spec, EVERYTHING, (own, wiring.segments[x]), asked) for x in wiring.crossed[name]
    ):
        return True
    return any(_meets(spec, seen, (own, own), asked) for seen in _seen(config))


def _seen(config: Stream) -> Iterator[Attention]:
    """What the attention of a stream's layers sees, of every kind and sub-layer."""
    for _, kind in config.kinds:
        yield from (part.of.attention for part in attending(kind))


def _any(segments: Segments, asked: frozenset[str]) -> bool:
    return any(segment.modality in asked for segment in segments)


def _meets(
    spec: Spec, attention: Attention, sides: tuple[Segments, Segments], asked: frozenset[str]
) -> bool:
    """Whether a query may see a key of another document, or of any where it has none itself."""
    for query, key, mask in _by_pair(spec, attention, sides):
        if key.modality in asked:
            kind = query.modality in asked, query == key
            if _shows(mask, _layout(spec, query), _layout(spec, key), *kind):
                return True
    return False


def _layout(spec: Spec, segment: Segment) -> Layout:
    if segment.modality is None:
        return Layout(segment.count or 0)
    return layout(spec.modalities[segment.modality])


@lru_cache(maxsize=256)
def _shows(mask: Mask, query: Layout, key: Layout, packed: bool, own: bool) -> bool:
    """Whether any key of another document may be shown; own: to queries of its own segment."""
    most, may_see = _bound(mask), sight(at_most(settled(mask, key.most), drawn(mask)))
    keys = [key.token(i, 1) for i in range(min(key.most, most))]
    for i in range(min(query.most, most)):
        q = query.token(i, 0 if packed else 1)
        if any(may_see(q, k) for k in keys if not (own and k.index == i)):
            return True
    return False


def moves(spec: Spec) -> bool:
    """Whether a document sees the same wherever it begins in a sample."""
    asked, wiring = frozenset(packed(spec)), resolve(spec)
    for name, config in spec.streams.items():
        sides = wiring.segments[name], wiring.segments[name]
        found = [_move(spec, seen, sides, asked) for seen in _seen(config)]
        if config.source.context is not None:
            first, *rest = (wiring.source_segments(source) for source in wiring.sources[name])
            context = tuple(segment for group in rest for segment in group)
            found.append(_move(spec, config.source.context, (first, context), asked))
        if not all(found):
            return False
    return True


def _move(
    spec: Spec, attention: Attention, sides: tuple[Segments, Segments], asked: frozenset[str]
) -> bool:
    for query, key, mask in _by_pair(spec, attention, sides):
        shifts = {(int(query.modality in asked), int(key.modality in asked))} - {(0, 0)}
        if shifts == {(1, 1)} and query != key:
            shifts = {(0, 1), (1, 0)}
        layouts = _layout(spec, query), _layout(spec, key)
        if not all(_same(mask, *layouts, shift) for shift in shifts):
            return False
    return True


def _by_pair(
    spec: Spec, attention: Attention, sides: tuple[Segments, Segments]
) -> Iterator[tuple[Segment, Segment, Mask]]:
    """Each segment of queries beside each of keys, and their mask, head by head."""
    queries, keys = (tuple(Side(s.name, 0, _layout(spec, s)) for s in side) for side in sides)
    for _, one in attention.by_heads(1):
        for i, query in enumerate(sides[0]):
            for j, key in enumerate(sides[1]):
                yield query, key, mask_of_pair(one, queries, keys, (i, j))


@lru_cache(maxsize=256)
def _same(mask: Mask, query: Layout, key: Layout, shift: tuple[int, int]) -> bool:
    """Whether a mask shows within a document what it shows when queries and keys are moved."""
    most, shown = _bound(mask), settled(mask, key.most)
    may_see, must_see = sight(at_most(shown, drawn(mask))), sight(at_least(shown, drawn(mask)))
    tokens = range(min(query.most, most) - shift[0]), range(min(key.most, most) - shift[1])
    for i in tokens[0]:
        q, moved = query.token(i), query.token(i + shift[0])
        for j in tokens[1]:
            k, other = key.token(j), key.token(j + shift[1])
            if len({may_see(q, k), must_see(q, k), may_see(moved, other)}) > 1:
                return False
    return True


def _bound(mask: Mask) -> int:
    """How many tokens of a segment are looked at."""
    numbers = [x for pattern in patterns(mask) for _, x in pattern.arguments if isinstance(x, int)]
    return _NEAR + 2 * max(numbers, default=0)


def at_most(mask: Mask, tables: Collection[Pattern]) -> Mask:
    """A mask that shows all that one may show, whatever some of its patterns do."""
    return _bounds(mask, tables)[1]


def at_least(mask: Mask, tables: Collection[Pattern]) -> Mask:
    """A mask that shows what one shows whatever some of its patterns do."""
    return _bounds(mask, tables)[0]


_Bounds = tuple[Mask, Mask]


def _bounds(mask: Mask, tables: Collection[Pattern]) -> _Bounds:
    def of_pattern(pattern: Pattern) -> _Bounds:
        return (NONE, FULL) if pattern in tables else (pattern, pattern)

    def hidden(operand: _Bounds) -> _Bounds:
        return Not(operand[1]), Not(operand[0])

    def both(one: _Bounds, other: _Bounds) -> _Bounds:
        return And(one[0], other[0]), And(one[1], other[1])

    def either(one: _Bounds, other: _Bounds) -> _Bounds:
        return Or(one[0], other[0]), Or(one[1], other[1])

    return fold(mask, of_pattern, hidden, both, either)


def packed(spec: Spec) -> list[str]:
    """Modalities whose documents masks ask for, in the spec's order."""
    found = {
        name
        for query, key, mask in spec_masks(spec)
        if any(pattern.facts.is_packed for pattern in deciding(mask))
        for name in (query, key)
    }
    return [name for name in spec.modalities if name in found]


def spec_masks(spec: Spec) -> Masks:
    """Every mask of a spec with the segments that it stands between."""
    wiring = resolve(spec)
    for name, stream in spec.streams.items():
        own = sizes(spec, wiring.segments[name])
        for seen in _seen(stream):
            yield from _masks(seen, own, own)
        if stream.source.context is not None:
            first, *rest = (wiring.source_segments(source) for source in wiring.sources[name])
            keys = tuple(segment for segments in rest for segment in segments)
            yield from _masks(stream.source.context, sizes(spec, first), sizes(spec, keys))


def _masks(attention: Attention, queries: Sizes, keys: Sizes) -> Masks:
    for group in attention.groups or ():
        yield from _masks(group.mask, queries, keys)
    for (query, key), mask in (attention.pairs or {}).items():
        yield query, key, settled(mask, keys[key])
    if attention.mask is not None:
        for query in queries:
            for key, most in keys.items():
                yield query, key, settled(attention.mask, most)


def sizes(spec: Spec, segments: Segments) -> Sizes:
    """How many tokens each segment can hold, by name."""
    return {segment.name: _layout(spec, segment).most for segment in segments}


def settled(mask: Mask, most: int) -> Mask:
    """The mask where `random` is `full` if it draws all the blocks of so many keys."""

    def known(pattern: Pattern) -> Mask:
        every = pattern.facts.is_drawn and pattern.size("blocks") * BLOCK >= most
        return FULL if every else pattern

    return fold(mask, known, Not, And, Or)


def deciding(mask: Mask) -> frozenset[Pattern]:
    """The patterns that decide what a mask shows: those left when `full` and `none` are gone."""
    found = fold(mask, _left, _negated, partial(_joined, False), partial(_joined, True))
    return frozenset() if isinstance(found, bool) else found


_Left = bool | frozenset[Pattern]
"""Patterns that are left, or what is shown anyway."""


def _left(pattern: Pattern) -> _Left:
    return frozenset({pattern}) if pattern not in (FULL, NONE) else pattern == FULL


def _negated(operand: _Left) -> _Left:
    return not operand if isinstance(operand, bool) else operand


def _joined(decisive: bool, one: _Left, other: _Left) -> _Left:
    """Of two sides, one of which suffices where it is decisive."""
    if decisive in (one, other):
        return decisive
    names = [side for side in (one, other) if not isinstance(side, bool)]
    return frozenset[Pattern]().union(*names) if names else not decisive
