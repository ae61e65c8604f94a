"""Which segments hold anything of a modality: value by value, and layer by layer within one.

What a row reads elsewhere says nothing of that modality, and is not followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.definitions import widest
from mmspec.compiler.relations.meaning.terms import put
from mmspec.expressions.mask import Mask, Pattern

Names = frozenset[str]
_FULL: Final = Pattern("full")
_NONE: Final = Pattern("none")
_DOCUMENT: Final = Pattern("document")


@dataclass(slots=True)
class Carried:
    """Names of the segments that hold something of a modality, by value.

    separate: whether its documents never meet, so that only tokens of one are looked at; layers:
    of what leaves a stack or a transformer fusion, before each layer that changes them.
    """

    modality: str
    separate: bool
    values: dict[str, Names] = field(default_factory=dict)
    layers: dict[str, tuple[Names, ...]] = field(default_factory=dict)

    def shown(self, mask: Mask) -> Mask | None:
        """All that a mask may show, of a query's own document where they never meet; None: none."""
        inside = put(mask, _DOCUMENT, _FULL) if self.separate else mask
        found = put(widest(inside), _FULL, _FULL)
        return None if found == _NONE else found

    def of(self, values: Iterable[ir.Value]) -> Names:
        """Those of some values, one beside another."""
        return frozenset[str]().union(*(self.values[value.name] for value in values))

    def before(self, value: ir.Value, layer: int) -> Names:
        """Those before a layer, from 0, of the node that makes a value."""
        layers = self.layers[value.name]
        return layers[min(layer, len(layers) - 1)]

    def step(self, node: ir.Node) -> None:
        """Follow one node."""
        out = node.out
        if isinstance(node, ir.Embed):
            found = frozenset({self.modality} if node.modality == self.modality else ())
        elif isinstance(node, ir.Project):
            found = self.of((node.source,))
        elif isinstance(node, ir.Stack):
            layers = (block.attentions for block in node.layers(0, node.depth))
            found = self._deep(out, self.of((node.source,)), layers, len(node.order))
            found = _all(out) if found and node.decision() is not None else found
        else:
            found = self._fused(node)
        self.values[out.name] = found

    def _fused(self, node: ir.Fuse) -> Names:
        held = self.of(node.kept)
        for reading in node.readings():
            if isinstance(reading, ir.Pool):
                pooled = reading.is_read and self.of(reading.values)
                held = _all(node.out) if pooled else held
            elif not reading.own:
                held |= self._reading(reading, self.of(node.others))
        return self._deep(node.out, held, ((site,) for site in node.attentions if site.own))

    def _deep(
        self,
        value: ir.Value,
        held: Names,
        sites: Iterable[tuple[ir.Attention, ...]],
        period: int = 1,
    ) -> Names:
        """After layers of attention; period: so many in a row that add nothing end it."""
        layers, idle = [held], 0
        for layer in sites:
            after = held
            for site in layer:
                after |= self._reading(site, after)
            idle = idle + 1 if after == held else 0
            if idle == period:
                break
            layers.append(held := after)
        self.layers[value.name] = tuple(layers)
        return held

    def _reading(self, site: ir.Attention, held: Names) -> Names:
        """Segments that see one of these."""
        pairs = (pair for group in site.groups for pair in group.masks)
        return frozenset(query for query, key, mask in pairs if key in held and self.shown(mask))


def carried(nodes: Iterable[ir.Node], modality: str, separate: bool) -> Carried:
    """What holds anything of a modality, after all these nodes."""
    found = Carried(modality, separate)
    for node in nodes:
        found.step(node)
    return found


def _all(value: ir.Value) -> Names:
    return frozenset(segment.name for segment in value.segments)
