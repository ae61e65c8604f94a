"""Patterns of sparse attention, by name: which runs of keys each block of queries sees, and which
single keys.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

Run = tuple[int, int, bool]
"""Keys from start to stop; whether every query of the block sees all of them."""

Seen = tuple[int, int, Sequence[Run]]
"""Queries from start to stop, and the runs of keys of one segment that they see: in order, and
apart.
"""


Orders = tuple[Tensor | None, Tensor | None]
"""Which query and which key stands at each place that a pattern counts; None: as they come."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which keys each query sees; both functions also take the lengths, one after another."""

    blocks: Callable[..., Iterable[Seen]]
    """(*lengths): the blocks of queries, any number of times each, with runs of keys."""
    sees: Callable[..., Tensor]
    """(q [q, 1], k [k], *lengths) -> bool [q, k], asked for runs that are not whole."""
    order: Callable[..., Orders] | None = None
    """(*lengths): in which order queries and keys are counted."""
    samples: Callable[[Tensor], Mapping[Hashable, list[int]]] | None = None
    """Of packed documents, (spans): those of a batch, and the samples that have them.

    `blocks` and `sees` take them after the lengths.
    """

    def orders(self, lengths: Sequence[Hashable]) -> Orders:
        """What `order` says, if anything."""
        return self.order(*lengths) if self.order else (None, None)


_PATTERNS: dict[str, Pattern] = {}


def register(name: str, pattern: Pattern) -> Pattern:
    """Make a pattern known to the operators; a name stands for one pattern for good."""
    assert name not in _PATTERNS, name
    _PATTERNS[name] = pattern
    return pattern


def registered(name: str) -> Pattern:
    """The pattern of a name."""
    return _PATTERNS[name]


def bounds(first: int, tile_t: Tensor) -> list[int]:
    """Where the tiles of a segment begin, and its end, given the tile of each of its tokens."""
    return [first, *(first + tile_t.bincount().cumsum(0)).tolist()]


def laid(
    runs: Callable[..., Iterable[Run]],
    indices: Iterable[tuple[int, ...]],
    sides: tuple[Sequence[int], Sequence[int]],
    *lengths: int,
) -> Iterator[Seen]:
    """Blocks from `runs(*index, *lengths)`, which counts in tiles whose bounds are the sides.

    A segment that is absent has no bounds but the first.
    """
    queries, keys = sides
    for index, start, stop in zip(indices, queries[:-1], queries[1:], strict=False):
        seen = [
            (keys[left], keys[min(right, len(keys) - 1)], whole)
            for left, right, whole in runs(*index, *lengths)
            if left < min(right, len(keys) - 1)
        ]
        yield start, stop, seen


def tiled(
    runs: Callable[..., Iterable[Run]], tile: int, queries: range, keys: range, *lengths: int
) -> Iterator[Seen]:
    """Blocks of a segment from `runs(i, *lengths)`, which counts in tiles of two segments."""
    for index, start in enumerate(range(queries.start, queries.stop, tile)):
        first = keys.start
        seen = [
            (first + tile * left, min(first + tile * right, keys.stop), whole)
            for left, right, whole in runs(index, *lengths)
            if left < right and first + tile * left < keys.stop
        ]
        yield start, min(start + tile, queries.stop), seen
