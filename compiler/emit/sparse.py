"""Which attention passes over tiles that its mask hides, and the patterns it does so by.

An attention has patterns wherever loops over tiles can be had and its inputs may be long enough: a
package decides where it runs, by prices of that machine, whether to pass over tiles. Elsewhere SDPA
computes all pairs under a mask.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.emit.masks import (
    documents,
    is_causal,
    is_full,
)
from mmspec.compiler.kernels import kernel_mask
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side

Backend = str
"""auto: tiles where they may pay, else SDPA. tiles: where a mask hides anything. sdpa: nowhere."""

NAMES: Final = ("Pattern", "Run", "Seen", "bounds", "laid", "register", "tiled")
"""What patterns take from the package's sparse_pattern.py."""

TABLE_NAMES: Final = ("Documents", "Draw", "everything", "samples", "sees", "tabled")
"""What those with tables take from its tables.py."""

_LONG: Final = 256
"""Tokens from which on a mask may be worth more than one dense call."""

_PAIRS: Final = 64
"""Masks of an attention, of all pairs and groups of heads, up to which each has loops of its own
unasked. Hundreds take minutes to write, and make a hundred thousand lines of kernels.
"""


def names(site: ir.Attention) -> tuple[str, ...]:
    """Of the mask of each group of heads of an attention."""
    if len(site.groups) == 1:
        return (f"{site.owner}_mask",)
    return tuple(f"{site.owner}_mask_{place}" for place in range(1, len(site.groups) + 1))


def words(site: ir.Attention) -> tuple[str, ...]:
    """Whose mask each of them is."""
    if len(site.groups) == 1:
        return (site.of,)
    places = range(1, len(site.groups) + 1)
    return tuple(f"group {place} of the heads of {site.of}" for place in places)


def patterns(site: ir.Attention, backend: Backend) -> ir.Patterns:
    """What tells an attention what it sees, where it passes over tiles."""
    if not passes_over(site, backend):
        return ()
    shared = site.heads // site.kv_heads
    pairs = zip(names(site), site.groups, strict=True)
    return tuple((name, group.heads, group.heads // shared) for name, group in pairs)


def passes_over(site: ir.Attention, backend: Backend) -> bool:
    """Whether an attention has patterns.

    Plain `causal` has them where they are asked for alone: SDPA knows it, and is nearly as fast.
    What is learned for distances has no gradient there yet.
    """
    if backend == "sdpa" or is_full(site) or site.learns:
        return False
    if backend == "auto" and (is_causal(site) or not _is_long(site) or _is_split(site)):
        return False
    return all(map(_has_loops, sequences(site)))


def _is_long(site: ir.Attention) -> bool:
    """Whether queries and keys may be so many that passing over tiles can pay."""
    return all(sum(segment.tokens.max for segment in side) >= _LONG for side in site.sides)


def _is_split(site: ir.Attention) -> bool:
    """Whether its loops are more than a package has unasked."""
    return sum(len(group.masks) for group in site.groups) > _PAIRS


def sequences(site: ir.Attention) -> list[SequenceMask]:
    """The mask of each group of heads, over all segments."""
    sides = [tuple(map(_side, segments)) for segments in site.sides]
    packed = frozenset(documents(site.groups))
    return [SequenceMask(sides[0], sides[1], group.masks, packed) for group in site.groups]


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


def _has_loops(mask: SequenceMask) -> bool:
    """Whether loops over tiles can be had for all pairs."""
    from mmspec.compiler.relations.loops.emitted_tables import has_loops

    sides = {side.name: side for side in mask.sides}
    return all(has_loops(part, sides[query], sides[key]) for query, key, part in mask.pairs)


def kernels(site: ir.Attention) -> list[kernel_mask.Mask]:
    """What the kernels of an attention are made from, for each group of heads."""
    longest = max(sum(segment.tokens.max for segment in side) for side in site.sides)
    found = []
    for name, sequence in zip(names(site), sequences(site), strict=True):
        tiles = kernel_mask.tiles_of(site.head_width, sequence)
        widths = site.head_width, site.head_width
        found.append(
            kernel_mask.Mask(name, sequence, longest, *widths, site.heads, tiles, lines=site.lines)
        )
    return found


def definitions(site: ir.Attention) -> list[str]:
    """The source of the patterns of an attention."""
    from mmspec.compiler.relations.loops.emitted import pattern_definitions

    groups = zip(names(site), words(site), sequences(site), strict=True)
    return [text for group in groups for text in pattern_definitions(*group)]
