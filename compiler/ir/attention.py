"""Attention: which tokens read which, by groups of heads."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmspec.compiler.ir.norm import Norm
from mmspec.compiler.ir.rotary import Rotary
from mmspec.compiler.ir.scores import Scores
from mmspec.compiler.ir.tokens import Segment, Value
from mmspec.expressions.mask import Mask, is_packed

Pairs = tuple[tuple[str, str, Mask], ...]
"""(query segment, key segment, mask); a pair not listed sees nothing"""

Patterns = tuple[tuple[str, int, int], ...]
"""For each group of heads its pattern, its query heads and its key heads; (): no patterns."""


@dataclass(frozen=True, slots=True)
class Group:
    """Heads that stand together and share masks."""

    heads: int
    masks: Pairs


@dataclass(frozen=True, slots=True)
class Attention:
    """A site of attention: in a stream's blocks or in a fusion, the same record.

    The groups' heads are all of `heads`, in order. Where it stands is no part of its `repr`: parts
    read only what it computes, and those of sites that compute alike are made once.
    """

    owner: str = field(repr=False)
    """Its masks, patterns and kernels are named after it."""
    of: str = field(repr=False)
    """Whose it is, in words."""
    queries: tuple[Segment, ...] = field(repr=False)
    keys: tuple[Segment, ...] = field(repr=False)
    own: bool
    """Whether one sequence reads itself; a fusion may read other values of the same segment."""
    groups: tuple[Group, ...]
    heads: int
    kv_heads: int
    head_width: int
    rotary: Rotary | None
    """How queries and keys are turned by their positions."""
    bias: bool
    """Whether its maps have a bias."""
    scores: Scores | None = None
    excepted: tuple[str, ...] = ()
    """Those of them of which the opposite holds: "query", "key", "value"."""
    shown: Patterns = ()
    """How it passes over tiles, and whether it is left to SDPA's own `is_causal`: see emit."""
    causal: bool = False
    variant: str = field(default="", repr=False)
    """The kind of layers that it is in; "" where all are alike."""
    read: Value | None = field(default=None, repr=False)
    """Whose tokens its keys are: what leaves another stream; None: those around it say."""
    key_width: int = 0
    """Features of these tokens."""
    key_norm: Norm | None = None
    """Of these tokens, before they are read."""

    @property
    def partial(self) -> bool:
        """Whether of the map to queries, keys and values some rows have a bias and others not."""
        return len(self.rows) > 1

    @property
    def rows(self) -> tuple[tuple[int, bool], ...]:
        """Of the map to queries, keys and values: the rows of each, and whether they have a bias.

        Neighbours that are alike are one.
        """
        return self._rows("query", "key", "value")

    def _has_bias(self, role: str) -> bool:
        return self.bias != (role in self.excepted)

    def _rows(self, *roles: str) -> tuple[tuple[int, bool], ...]:
        found: list[tuple[int, bool]] = []
        for role in roles:
            count = self.heads if role == "query" else self.kv_heads
            rows, biased = count * self.head_width, self._has_bias(role)
            if found and found[-1][1] == biased:
                rows += found.pop()[0]
            found.append((rows, biased))
        return tuple(found)

    @property
    def queries_biased(self) -> bool:
        """Whether a map to queries alone has a bias."""
        return self._has_bias("query")

    @property
    def keys_biased(self) -> bool:
        """Whether a map to keys and values alone, which are alike, has one."""
        return self._has_bias("key")

    @property
    def key_rows(self) -> tuple[tuple[int, bool], ...]:
        """The same of a map to keys and values alone."""
        return self._rows("key", "value")

    @property
    def sides(self) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """Segments of queries, and of keys."""
        return self.queries, self.keys

    @property
    def inner(self) -> Scores | None:
        """What it does to scores besides scaling them; None: nothing."""
        return None if self.scores is None else self.scores.inner

    @property
    def scale(self) -> float | None:
        """What products are multiplied by; None: one over the root of the width."""
        return None if self.scores is None else self.scores.scale

    @property
    def learns(self) -> bool:
        """Whether what it adds to scores has weights."""
        return self.scores is not None and self.scores.learns

    @property
    def norm(self) -> Norm | None:
        """Of its queries, and another of its keys."""
        return None if self.scores is None else self.scores.norm

    @property
    def lines(self) -> frozenset[str]:
        """The segments whose tokens have relative scores to one another."""
        lines = () if self.scores is None else self.scores.lines
        return frozenset(
            segment.name for segment, on in zip(self.queries, lines, strict=False) if on
        )

    @property
    def packed(self) -> bool:
        """Whether a mask asks for the documents of tokens."""
        masks = (mask for group in self.groups for *_, mask in group.masks)
        return any(map(is_packed, masks))
