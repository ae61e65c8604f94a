"""Attention: which tokens read which, by groups of heads."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmspec.compiler.ir.scores import Scores
from mmspec.compiler.ir.tokens import Segment
from mmspec.expressions.mask import Mask, is_packed

Pairs = tuple[tuple[str, str, Mask], ...]
"""(query segment, key segment, mask); a pair not listed sees nothing"""


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
    rotary: bool
    bias: bool
    scores: Scores | None = None

    @property
    def sides(self) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """Segments of queries, and of keys."""
        return self.queries, self.keys

    @property
    def packed(self) -> bool:
        """Whether a mask asks for the documents of tokens."""
        masks = (mask for group in self.groups for *_, mask in group.masks)
        return any(map(is_packed, masks))
