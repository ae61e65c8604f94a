"""The Plan: what a spec lowers to, and all that costs, flow and emitters read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmspec.compiler.ir.attention import Attention
from mmspec.compiler.ir.fusion import Fuse
from mmspec.compiler.ir.head import Head
from mmspec.compiler.ir.init import Normal
from mmspec.compiler.ir.input import Embed, Input
from mmspec.compiler.ir.stream import Project, Stack

Node = Embed | Project | Fuse | Stack


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole model, in execution order."""

    name: str
    class_name: str
    about: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    heads: tuple[Head, ...]
    separate: tuple[str, ...] = ()
    """Modalities whose documents never meet: positions begin anew in each, losses stop."""
    init: Normal | None = None
    """None: fan-in, which torch's layers and the parts do by themselves."""
    source: str = field(default="", compare=False)

    def stacks(self) -> tuple[Stack, ...]:
        """The streams' stacks, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, Stack))

    def fusions(self) -> tuple[Fuse, ...]:
        """The fusions of several sources, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, Fuse))

    def sites(self) -> Iterator[Attention]:
        """Every site of attention, in execution order."""
        for node in self.nodes:
            if isinstance(node, Fuse | Stack):
                yield from node.attentions

    def exits(self, head: Head) -> Stack | None:
        """The stack whose exits a head decides."""
        for stack in self.stacks():
            if stack.halting is not None and stack.halting.decider == head.name:
                return stack
        return None
