"""Which part, with which constants, each module of a Plan is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmspec.compiler import ir
from mmspec.compiler.emit import masks, sparse
from mmspec.compiler.emit.constants import Named
from mmspec.compiler.emit.resolved import resolved
from mmspec.compiler.emit.sparse import Backend
from mmspec.schema.spec import camel


def embedding(node: ir.Embed, separate: bool = False) -> tuple[str, dict[str, Any]]:
    """Part of an embedding, and what it may take; separate: positions begin anew in documents."""
    known = {"width": node.out.width, "rows": node.sum, "packed": separate}
    known["bias"] = node.biased
    known["max_tokens"] = node.own.tokens.max
    known["tied"] = node.table is not None
    return node.raw.part, known


def fusion(node: ir.Fuse, backend: Backend) -> tuple[str, dict[str, Any]]:
    """Part of a fusion with parameters, and what it may take."""
    constants: dict[str, Any] = {"width": node.out.width, "sources": len(node.sources)}
    for site in node.attentions:
        constants |= {"heads": site.heads, "shown": sparse.patterns(site, backend)}
        constants["packed"] = bool(masks.documents(site.groups))
    assert node.fusion.part is not None, node.fusion
    return node.fusion.part, constants


def stack(node: ir.Stack, backend: Backend) -> tuple[str, dict[str, Any]]:
    """Part and constants of a stream's stack."""
    turned = [segment.tokens.max for segment in node.source.segments if segment.rotary]
    constants: dict[str, Any] = {
        "stack": resolved(node, backend),
        "depth": node.depth,
        "positions": max(turned, default=0),
    }
    if node.halting is None:
        return "Stack", constants
    return node.halting.part, {**constants, "rule": node.halting}


def head(node: ir.Head) -> tuple[str, dict[str, Any]]:
    """Part of a head with parameters, and what it may take."""
    widths = tuple(value.width for value in node.sources)
    steps = node.answer.path
    width = steps[-1].outputs if steps else widths[0]
    known = {"width": width, "widths": widths, "size": node.size, "vocab": node.size}
    known["tied"] = node.tied is not None
    sides = zip(("first", "second"), node.sources, strict=False)
    return node.answer.part, {**known, **{side: value.name for side, value in sides}}


class Requests:
    """Specialised classes of a Plan's modules, by module name."""

    def __init__(self, plan: ir.Plan, specialiser: Any, backend: Backend, named: Named) -> None:
        self.backend: Backend = backend
        self.named = named
        self._parts: dict[str, Any] = {}
        for node in plan.nodes:
            if isinstance(node, ir.Embed):
                part = embedding(node, node.modality in plan.separate)
                part = _taken(specialiser, part, node.raw)
                self._ask(specialiser, node.module, node.modality, part)
            elif isinstance(node, ir.Project) and node.through:
                self._ask(specialiser, node.module, node.module, ("Path", {"path": node.through}))
            elif isinstance(node, ir.Fuse) and node.module:
                part = _taken(specialiser, fusion(node, backend), node.fusion)
                self._ask(specialiser, node.module, node.stream, part)
            elif isinstance(node, ir.Stack):
                self._ask(specialiser, node.module, node.stream, stack(node, backend))
        for item in plan.heads:
            if item.is_made:
                part = _taken(specialiser, head(item), item.answer)
                self._ask(specialiser, item.module, item.name, part)

    def _ask(
        self, specialiser: Any, module: str, owner: str, part: tuple[str, dict[str, Any]]
    ) -> None:
        self._parts[module] = specialiser.request(part[0], part[1], camel(owner))

    def name(self, module: str) -> str:
        """Class of a module."""
        name: str = self._parts[module].name
        return name

    def made(self, module: str) -> str:
        """The call that makes a module."""
        part = self._parts[module]
        return f"{part.name}({part.arguments})"

    def call(self, module: str, arguments: Mapping[str, str]) -> str:
        """A call of a module with those of the arguments that its forward still takes."""
        taken = [arguments[parameter] for parameter in self._parts[module].forward]
        return f"self.{module}({', '.join(taken)})"


def _taken(specialiser: Any, part: tuple[str, dict[str, Any]], record: object) -> Any:
    """A part with what its constructor takes by name: of what is known, else of a kind's record."""
    name, known = part
    taken = specialiser.parameters(name)
    return name, {each: known[each] if each in known else getattr(record, each) for each in taken}
