"""What the source of a pattern is made from: its segments, and what its functions are given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mmspec.compiler.relations.loops.arrangement import Layout, product
from mmspec.compiler.relations.meaning.sequence import SequenceMask, Side
from mmspec.expressions.mask import NONE, Mask

__all__ = ["Segment", "Source", "tokens_of", "used"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment in the source: where it begins, and in which order its tokens stand."""

    side: Side
    start: str
    layout: Layout

    @property
    def tokens(self) -> str:
        """How many there are."""
        return tokens_of(self.side)

    @property
    def end(self) -> str:
        """Where it ends."""
        return f"{self.start} + {self.tokens}" if self.start else self.tokens

    @property
    def span(self) -> str:
        """All its places."""
        return f"range({self.start}, {self.end})" if self.start else f"range({self.end})"


def tokens_of(side: Side) -> str:
    """Source: how many tokens a segment has."""
    return side.count or product([axis.size for axis in side.geometry.axes])


@dataclass(frozen=True, slots=True)
class Source:
    """A pattern's name, whose it is, its segments and what they show each other."""

    name: str
    owner: str
    mask: SequenceMask
    queries: tuple[Segment, ...]
    keys: tuple[Segment, ...]

    @property
    def segments(self) -> list[Segment]:
        """Each once for each place where it stands."""
        return list(dict.fromkeys((*self.queries, *self.keys)))

    @property
    def alone(self) -> bool:
        """Whether there is one segment of queries and one of keys."""
        return len(self.queries) == len(self.keys) == 1

    def shown(self) -> Iterator[tuple[Segment, Segment, Mask]]:
        """Pairs with visible keys."""
        for query in self.queries:
            for key in self.keys:
                mask = self.mask.mask(query.side.name, key.side.name)
                if mask != NONE:
                    yield query, key, mask

    def given(self, *first: str) -> str:
        """The parameters of a function."""
        return ", ".join((*first, *(f"{name}: int" for name in self.mask.parameters)))

    def of(self, query: Segment, key: Segment) -> Mask:
        """The mask of a pair."""
        return self.mask.mask(query.side.name, key.side.name)

    def asked(self, *first: str) -> str:
        """The parameters of a function of the pattern."""
        return self.given(*first) + ", documents: Documents" * bool(self.mask.packed)

    def derived(self, body: Iterable[str]) -> Iterator[str]:
        """The statements of a function's body, after those that make the lengths they use."""
        body = list(body)
        for side in self.mask.sides:
            for line_ in side.derived():
                if used(line_.partition(" ")[0], "\n".join(body)):
                    yield f"    {line_}"
        yield from (f"    {text}" for text in body)


def used(name: str, text: str) -> bool:
    """Whether a text has a name."""
    return re.search(rf"\b{name}\b", text) is not None
