"""What tokens hold of a modality: value by value, from first to last, and layer by layer.

What a row reads of segments that hold nothing of it says nothing of it, and is not followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.compiler.relations.meaning.terms import with_documents
from mmspec.expressions.mask import FULL, NONE, Mask

R = TypeVar("R")
Row = dict[str, R]
"""What is held or read, by segment."""


class Holding(Protocol[R]):
    """What tokens of a segment hold, and how that grows on the way."""

    def own(self, segment: ir.Segment) -> R:
        """Each token of the modality holds itself."""
        ...

    def through(self, held: R, query: ir.Segment, key: ir.Segment, mask: Mask) -> R | None:
        """What queries hold that see keys which hold something; None: nothing at any length."""
        ...

    def pooled(self, held: Iterable[R], segment: ir.Segment) -> R:
        """Every token of a segment holds all of what others hold."""
        ...

    def join(self, one: R, other: R) -> R:
        """Both."""
        ...

    def same(self, one: R, other: R) -> bool:
        """Whether they are equal."""
        ...


@dataclass(slots=True)
class Carried(Generic[R]):
    """What the segments of each value hold of a modality; those that hold nothing are left out.

    separate: whether its documents never meet, so that only tokens of one are looked at; layers:
    of what leaves a stack or a transformer fusion, before each layer that changes it.
    """

    modality: str
    separate: bool
    algebra: Holding[R]
    values: dict[str, Row[R]] = field(default_factory=dict)
    layers: dict[str, tuple[Row[R], ...]] = field(default_factory=dict)

    def shown(self, mask: Mask) -> Mask | None:
        """All that a mask may show, of a query's own document where they never meet; None: none."""
        found = widest(with_documents(mask, FULL) if self.separate else mask)
        return None if found == NONE else found

    def of(self, values: Iterable[ir.Value]) -> Row[R]:
        """What values hold that have no segment in common."""
        return {name: held for value in values for name, held in self.values[value.name].items()}

    def before(self, value: ir.Value, layer: int) -> Row[R]:
        """What is held before a layer, from 0, of the node that makes a value."""
        layers = self.layers[value.name]
        return layers[min(layer, len(layers) - 1)]

    def step(self, node: ir.Node) -> None:
        """Follow one node."""
        out = node.out
        if isinstance(node, ir.Embed):
            own = (segment for segment in out.segments if segment.name == self.modality)
            found = {segment.name: self._made(node.raw, segment) for segment in own}
        elif isinstance(node, ir.Project):
            found = self.of((node.source,))
        elif isinstance(node, ir.Stack):
            layers = (block.readings for block in node.layers(0, node.passed))
            found = self._deep(out, self.of((node.source,)), layers, len(node.order))
            found = found if node.decision() is None else self._pooled(out, found)
        else:
            found = self._fused(node)
        self.values[out.name] = found

    def _made(self, raw: ir.Raw, segment: ir.Segment) -> R:
        """What the tokens of a modality hold as they are embedded."""
        own = self.algebra.own(segment)
        if raw.reads is None:
            return own
        more = self.algebra.through(own, segment, segment, raw.reads)
        return own if more is None else self.algebra.join(own, more)

    def _fused(self, node: ir.Fuse) -> Row[R]:
        held = self.of(node.kept)
        for reading in node.readings():
            if isinstance(reading, ir.Pool):
                pooled = self.of(reading.values) if reading.is_read else {}
                held = self._pooled(node.out, pooled) if pooled else held
            elif not reading.own:
                held = self._reading(held, self.of(node.others), reading)
        return self._deep(node.out, held, (((site,),) for site in node.attentions if site.own))

    def _pooled(self, value: ir.Value, held: Row[R]) -> Row[R]:
        segments = value.segments if held else ()
        return {segment.name: self.algebra.pooled(held.values(), segment) for segment in segments}

    def _deep(
        self,
        value: ir.Value,
        held: Row[R],
        sites: Iterable[tuple[tuple[ir.Attention, ...], ...]],
        period: int = 1,
    ) -> Row[R]:
        """After layers of attention; period: so many in a row that add nothing end it.

        Of a layer the sites that read the same tokens are together.
        """
        layers, idle = [held], 0
        for layer in sites:
            after = held
            for together in layer:
                read = after
                for site in together:
                    keys = read if site.read is None else self.of((site.read,))
                    after = self._reading(after, keys, site)
            idle = idle + 1 if self._same(held, after) else 0
            if idle == period:
                break
            layers.append(held := after)
        self.layers[value.name] = tuple(layers)
        return held

    def _same(self, one: Row[R], other: Row[R]) -> bool:
        """Whether the other, which holds all that one does, holds no more."""
        return all(name in one and self.algebra.same(one[name], x) for name, x in other.items())

    def _reading(self, own: Row[R], held: Row[R], site: ir.Attention) -> Row[R]:
        """What queries hold that see what keys hold."""
        found = dict(own)
        queries, keys = ({segment.name: segment for segment in side} for side in site.sides)
        pairs = dict.fromkeys(pair for group in site.groups for pair in group.masks)
        for name, other, mask in pairs:
            shown = self.shown(mask) if other in held else None
            if shown is None:
                continue
            more = self.algebra.through(held[other], queries[name], keys[other], shown)
            if more is not None:
                found[name] = self.algebra.join(found[name], more) if name in found else more
        return found


class _Anything:
    """Whether something is held at all: what is in a row is."""

    def own(self, segment: ir.Segment) -> bool:
        return True

    def through(self, held: bool, query: ir.Segment, key: ir.Segment, mask: Mask) -> bool:
        return True

    def pooled(self, held: Iterable[bool], segment: ir.Segment) -> bool:
        return True

    def join(self, one: bool, other: bool) -> bool:
        return True

    def same(self, one: bool, other: bool) -> bool:
        return True


def carried(nodes: Iterable[ir.Node], modality: str, separate: bool) -> Carried[bool]:
    """Which segments hold anything of a modality, after all these nodes."""
    found = Carried(modality, separate, _Anything())
    for node in nodes:
        found.step(node)
    return found
