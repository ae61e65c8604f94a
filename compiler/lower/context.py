"""What the lowering of one concern tells the next: the values made so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmspec.compiler import ir
from mmspec.compiler.lower.carried import Carried, carried
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring


@dataclass
class Context:
    """The spec, its wiring, and the nodes and values lowered so far."""

    spec: Spec
    wiring: Wiring
    nodes: list[ir.Node] = field(default_factory=list)
    values: dict[str, ir.Value] = field(default_factory=dict)
    """Output of each stream, by name."""
    separate: tuple[str, ...] = ()
    """Modalities whose documents never meet, once all streams are lowered."""
    holders: dict[str, Carried[bool]] = field(default_factory=dict)

    def add(self, node: ir.Node) -> ir.Value:
        """Append a node and return what it makes."""
        self.nodes.append(node)
        return node.out

    def carried(self, modality: str) -> Carried[bool]:
        """What holds anything of a modality, once all streams are lowered."""
        if modality not in self.holders:
            self.holders[modality] = carried(self.nodes, modality, modality in self.separate)
        return self.holders[modality]
