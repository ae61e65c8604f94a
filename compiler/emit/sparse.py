"""Which attention passes over tiles that its mask hides, and the patterns it does so by.

An attention has patterns wherever loops over tiles can be had and its inputs may be long enough: a
package decides where it runs, by prices of that machine, whether to pass over tiles. Elsewhere SDPA
computes all pairs under a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.emit.masks import (
    NONE,
    Groups,
    Segments,
    documents,
    is_causal,
    is_full,
    simplify,
)
from mmspec.compiler.kernels import kernel_mask
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import Mask

Backend = str
"""auto: tiles where they may pay, else SDPA. tiles: where a mask hides anything. sdpa: nowhere."""

Patterns = tuple[tuple[str, int, int], ...]
"""For each group of heads its pattern, its query heads and its key heads; () for SDPA."""

NAMES: Final = ("Block", "Pattern", "Run", "bounds", "laid", "register", "tiled")
"""What patterns take from the package's sparse_pattern.py."""

TABLE_NAMES: Final = ("Documents", "Draw", "everything", "samples", "sees", "tabled")
"""What those with tables take from its tables.py."""

_LONG: Final = 256
"""Tokens from which on a mask may be worth more than one dense call."""


@dataclass(frozen=True, slots=True)
class Site:
    """An attention: who asks whom, with which masks by groups of heads."""

    owner: str
    of: str
    """Whose it is, in words."""
    groups: Groups
    queries: Segments
    keys: Segments
    heads: int
    kv_heads: int
    width: int
    """Of a head."""
    own: bool = True
    """Whether it is self-attention: a fusion may read other values of the same segment."""

    @property
    def is_causal(self) -> bool:
        """Whether it is self-attention under plain `causal`, which SDPA knows without a mask."""
        return self.own and is_causal(self.groups, *self.sides)

    @property
    def sides(self) -> tuple[Segments, Segments]:
        """Segments of queries, and of keys."""
        return self.queries, self.keys

    def names(self) -> tuple[str, ...]:
        """Of the mask of each group of heads."""
        if len(self.groups) == 1:
            return (f"{self.owner}_mask",)
        return tuple(f"{self.owner}_mask_{place}" for place in range(1, len(self.groups) + 1))

    def words(self) -> tuple[str, ...]:
        """Whose mask each of them is."""
        if len(self.groups) == 1:
            return (self.of,)
        places = range(1, len(self.groups) + 1)
        return tuple(f"group {place} of the heads of {self.of}" for place in places)

    def patterns(self, backend: Backend) -> Patterns:
        """What tells it what it sees, where it passes over tiles."""
        if not passes_over(self, backend):
            return ()
        shared = self.heads // self.kv_heads
        pairs = zip(self.names(), self.groups, strict=True)
        return tuple((name, group.heads, group.heads // shared) for name, group in pairs)


def of_stack(node: ir.Stack) -> Site:
    """The self-attention of a stream."""
    layer, segments = node.block.attention, node.source.segments
    return Site(
        *(node.stream, f"stream {node.stream}", layer.groups, segments, segments),
        *(layer.heads, layer.kv_heads, layer.head_width),
    )


def of_fusion(node: ir.Fuse) -> Site:
    """The attention of a cross-attention fusion: the first source reads the others."""
    keys = tuple(segment for value in node.sources[1:] for segment in value.segments)
    return Site(
        *(f"{node.stream}_fusion", f"fusion {node.stream}", node.groups),
        *(node.sources[0].segments, keys),
        *(node.heads, node.heads, node.out.width // node.heads),
        own=False,
    )


def passes_over(site: Site, backend: Backend) -> bool:
    """Whether an attention has patterns.

    Plain `causal` has them where they are asked for alone: SDPA knows it, and is nearly as fast.
    """
    if backend == "sdpa" or is_full(site.groups, *site.sides):
        return False
    if backend == "auto" and (site.is_causal or not _is_long(site)):
        return False
    return all(map(_has_loops, sequences(site)))


def _is_long(site: Site) -> bool:
    """Whether queries and keys may be so many that passing over tiles can pay."""
    return all(sum(segment.tokens.max for segment in side) >= _LONG for side in site.sides)


def sequences(site: Site) -> list[SequenceMask]:
    """The mask of each group of heads, over all segments."""
    sides = [tuple(map(_side, segments)) for segments in site.sides]
    packed = frozenset(documents(site.groups))
    return [
        SequenceMask(sides[0], sides[1], tuple(_shown(group.masks)), packed)
        for group in site.groups
    ]


def _side(segment: ir.Segment) -> Side:
    """A segment as generated code knows it: by its number of tokens.

    The frames of a video then have a name of their own.
    """
    geometry = segment.geometry
    if len(geometry.axes) > 1:
        axes = (
            replace(axis, size=f"frames_{segment.name}") if isinstance(axis.size, str) else axis
            for axis in geometry.axes
        )
        geometry = replace(geometry, axes=tuple(axes))
    return Side(segment.name, geometry, f"n_{segment.name}", segment.tokens.max)


def _shown(pairs: ir.Pairs) -> Iterator[tuple[str, str, Mask]]:
    """Pairs of segments that see anything."""
    found = ((query, key, simplify(mask)) for query, key, mask in pairs)
    return (pair for pair in found if pair[2] != NONE)


def _has_loops(mask: SequenceMask) -> bool:
    """Whether loops over tiles can be had for all pairs."""
    from mmspec.compiler.relations.loops.emitted_tables import has_loops

    sides = {side.name: side for side in mask.sides}
    return all(has_loops(part, sides[query], sides[key]) for query, key, part in mask.pairs)


def kernels(site: Site) -> list[kernel_mask.Mask]:
    """What the kernels of an attention are made from, for each group of heads."""
    longest = max(sum(segment.tokens.max for segment in side) for side in site.sides)
    found = []
    for name, sequence in zip(site.names(), sequences(site), strict=True):
        tiles = kernel_mask.tiles_of(site.width, sequence)
        widths = site.width, site.width
        found.append(kernel_mask.Mask(name, sequence, longest, *widths, site.heads, tiles))
    return found


def definitions(site: Site) -> list[str]:
    """The source of the patterns of an attention."""
    from mmspec.compiler.relations.loops.emitted import pattern_definitions

    groups = zip(site.names(), site.words(), sequences(site), strict=True)
    return [text for group in groups for text in pattern_definitions(*group)]
