"""Tokens that the row before them sees: a language model is not trained to predict those.

By products of matrices, at lengths beyond what the spec admits: masks show the same at any length.
Of documents that stay apart a row depends on its own alone, so each is looked at where it begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from mmspec.expressions.mask import Mask, Pattern, patterns
from mmspec.schema import modality as modalities
from mmspec.schema.attention import Attention
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import resolve
from mmspec.verify.reference import packing
from mmspec.verify.reference.layers import changed
from mmspec.verify.reference.modality import longest, segment_count, step
from mmspec.verify.reference.reach import reach

_NEAR: Final = 16
_FAR: Final = 512


@dataclass(frozen=True)
class _Asked:
    """A stream and the segment of it that is predicted; `text` stands for the spec."""

    text: str
    stream: str
    segment: str
    count: int
    begin: int
    spec: Spec = field(compare=False)


def told(spec: Spec, stream: str, segment: str, count: int, begin: int = 0) -> frozenset[int]:
    """Of the first `count` tokens those that the row before them depends on, at any length.

    begin: where their document does, of which no token is before it.
    """
    text = repr((spec.modalities, spec.streams))
    rounded = 1 << max(count - 1, 0).bit_length()
    begin = begin if segment in packing.separate(spec) else 0
    found = _told(_Asked(text, stream, segment, rounded, begin, spec))
    return frozenset(k for k in found if k < count)


@lru_cache(maxsize=256)
def _told(asked: _Asked) -> frozenset[int]:
    spec = asked.spec
    masks = (mask for *_, mask in packing.spec_masks(spec))
    found = (
        value for mask in masks for pattern in patterns(mask) for _, value in pattern.arguments
    )
    reach_of_masks = max((value for value in found if isinstance(value, int)), default=0)
    most = asked.count + _NEAR + min(2 * reach_of_masks, _FAR)
    raw = {name: _raw(modality, most) for name, modality in spec.modalities.items()}
    raw[asked.segment] = most
    apart = packing.separate(spec)
    streams = {name: _widest(spec, name, asked.segment in apart) for name in spec.streams}
    documents = {name: [0] * most for name in apart}
    documents[asked.segment] = [1] * asked.begin + [0] * (most - asked.begin)
    connections = reach(spec.model_copy(update={"streams": streams}), raw, documents, False)
    start = 0
    for segment in resolve(spec).segments[asked.stream]:
        if segment.name == asked.segment:
            break
        start += segment_count(spec, segment, raw)
    rows = connections.of(asked.stream, asked.segment)[start:]
    return frozenset(k for k in range(asked.begin + 1, asked.count) if rows[k - 1][k])


def _raw(modality: modalities.Modality, most: int) -> int:
    """A length of about so many tokens, at most the longest where no length is given."""
    raw, tokens = step(modality)
    count = -(-most // tokens) * raw
    return count if isinstance(modality, modalities.Varying) else min(longest(modality), count)


def _widest(spec: Spec, name: str, apart: bool) -> Stream:
    """A stream with masks that show all that its own may show; apart: its documents are known."""
    stream, wiring = spec.streams[name], resolve(spec)
    own, source = packing.sizes(spec, wiring.segments[name]), stream.source
    if source.context is not None:
        first, *rest = (wiring.source_segments(x) for x in wiring.sources[name])
        keys = tuple(segment for segments in rest for segment in segments)
        sides = packing.sizes(spec, first), packing.sizes(spec, keys)
        opened = _attention(source.context, sides, apart)
        source = source.model_copy(update={"attention": opened})

    def widened(one: Any) -> Any:
        seen = getattr(one, "attention", None)
        changes = {"attention": _attention(seen, (own, own), apart)} if seen is not None else {}
        return one.model_copy(update=changes)

    return changed(stream.model_copy(update={"source": source}), widened)


def _attention(of: Attention, sides: tuple[packing.Sizes, packing.Sizes], apart: bool) -> Attention:
    queries, keys = sides
    groups = of.groups and tuple(
        group.model_copy(update={"mask": _attention(group.mask, sides, apart)})
        for group in of.groups
    )
    masks = dict(of.pairs or {})
    if of.mask is not None and _open(of.mask, apart):
        masks = {(query, key): of.mask for query in queries for key in keys}
    shown = {pair: _shown(mask, keys[pair[1]], apart) for pair, mask in masks.items()}
    mask = None if shown else of.mask
    return of.model_copy(update={"groups": groups, "pairs": shown or None, "mask": mask})


def _open(mask: Mask, apart: bool) -> list[Pattern]:
    """Its patterns that may show anything: what is drawn, and documents that are not known."""
    return [
        pattern
        for pattern in patterns(mask)
        if pattern.facts.is_drawn or (pattern.facts.is_packed and not apart)
    ]


def _shown(mask: Mask, most: int, apart: bool) -> Mask:
    """A mask that shows all that one may show of so many keys at most."""
    settled = packing.settled(mask, most)
    return packing.at_most(settled, _open(settled, apart))
