"""What the kernels of one attention are made from: its mask, its widths and the sizes of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.emit.sparse import Shown, shown_pairs

_WIDEST: Final = 2**31

Tiles = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Mask:
    """Who sees whom in one attention, and how wide its heads are."""

    name: str
    queries: tuple[ir.Segment, ...]
    keys: tuple[ir.Segment, ...]
    shown: tuple[Shown, ...]
    width: int
    value_width: int
    heads: int
    tiles: Tiles = ((64, 64), (64, 32), (64, 32))
    """Of the forward and of both backwards: a program's tokens, and those it takes at a time."""

    @property
    def lengths(self) -> tuple[str, ...]:
        """Parameters of the kernels: tokens of every segment once, queries first."""
        return tuple(dict.fromkeys(f"n_{s.name}" for s in (*self.queries, *self.keys)))

    @property
    def warps(self) -> tuple[int, int, int]:
        """Of the forward and of both backwards; chosen where no register is spilled."""
        if padded(max(self.width, self.value_width)) <= 64:
            return 4, 4, 4
        return 8, 8, 8

    @property
    def far(self) -> bool:
        """Whether the offset of a token may pass 32 bits at the longest lengths."""
        most = max(sum(s.tokens.max for s in side) for side in (self.queries, self.keys))
        return most * self.heads * max(self.width, self.value_width) * 3 >= _WIDEST

    def places(self, side: tuple[ir.Segment, ...]) -> tuple[int, ...]:
        """Where the lengths of queries or of keys are among all."""
        return tuple(self.lengths.index(f"n_{segment.name}") for segment in side)


def of_stack(name: str, node: ir.Stack) -> Mask:
    """The mask of a stack whose heads all see alike."""
    (group,), layer = node.block.attention.groups, node.block.attention
    segments = node.source.segments
    shown = tuple(shown_pairs(group.masks, (segments, segments)))
    width = layer.head_width
    return Mask(name, segments, segments, shown, width, width, layer.heads, tiles_of(width, shown))


def tiles_of(width: int, shown: tuple[Shown, ...]) -> Tiles:
    """Sizes at which registers suffice: smaller for wide heads and many loops."""
    if padded(width) <= 64:
        return (64, 64), (64, 32), (64, 16)
    several = len(shown) > 2
    return ((32, 32), (32, 32), (32, 32)) if several else ((64, 64), (64, 32), (32, 32))


def padded(width: int) -> int:
    """The power of two, at least 16, that holds a width."""
    return max(16, 1 << (width - 1).bit_length())
