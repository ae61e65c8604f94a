"""Which part, with which constants, each module of a Plan is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mmspec.compiler import ir
from mmspec.compiler.emit import masks, sparse
from mmspec.compiler.emit.sparse import Backend
from mmspec.schema.spec import camel


def embedding(node: ir.Embed, separate: bool = False) -> tuple[str, dict[str, Any]]:
    """Part and constants of an embedding; separate: positions begin anew in each document."""
    common = {"width": node.out.width, "position": node.position}
    tokens = node.out.segments[0].tokens.max
    if node.kind == "tokens":
        sizes = {"vocab": node.features, "max_tokens": tokens, "packed": separate}
        return "TokenEmbedding", {**common, **sizes}
    if node.kind == "table":
        return "TableEmbedding", {**common, "columns": node.columns}
    if node.kind == "image":
        assert node.grid is not None
        height, breadth = (side * node.patch for side in node.grid)
        picture = {"height": height, "breadth": breadth, "patch": node.patch}
        return "ImageEmbedding", {**common, "channels": node.features, **picture}
    if node.kind == "video":
        assert node.grid is not None
        height, breadth = (side * node.patch for side in node.grid)
        cut = {"patch": node.patch, "tubelet": node.tubelet, "max_tokens": tokens}
        return "VideoEmbedding", {**common, "sizes": (node.features, height, breadth), **cut}
    frames = {"features": node.features, "patch": node.patch, "max_tokens": tokens}
    return "FrameEmbedding", {**common, **frames, "packed": separate}


def fusion(node: ir.Fuse, backend: Backend) -> tuple[str, dict[str, Any]]:
    """Part of a fusion with parameters, and all that it may take."""
    constants = {item.name: getattr(node.fusion, item.name) for item in fields(node.fusion)}
    constants |= {"width": node.out.width, "sources": len(node.sources)}
    for site in node.attentions:
        constants |= {"heads": site.heads, "shown": sparse.patterns(site, backend)}
        constants["packed"] = bool(masks.documents(site.groups))
    assert node.fusion.part is not None, node.fusion
    return node.fusion.part, constants


def stack(node: ir.Stack, backend: Backend) -> tuple[str, dict[str, Any]]:
    """Part and constants of a stream's stack."""
    turned = [segment.tokens.max for segment in node.source.segments if segment.rotary]
    (block,), (site,) = node.variants, node.attentions
    constants: dict[str, Any] = {
        "block": block,
        "depth": node.depth,
        "final_norm": node.final_norm,
        "positions": max(turned, default=0),
        "shown": sparse.patterns(site, backend),
        "causal": masks.is_causal(site),
    }
    if node.halting is None:
        return "Stack", constants
    return node.halting.part, {**constants, "rule": node.halting}


def head(node: ir.Head, plan: ir.Plan) -> tuple[str, dict[str, Any]]:
    """Part and constants of a head with parameters."""
    widths = tuple(value.width for value in node.sources)
    if node.kind == "contrastive":
        streams = [value.name for value in node.sources]
        names = {"first": streams[0], "second": streams[1], "widths": widths}
        return "ContrastiveHead", {**names, "size": node.size, "temperature": node.temperature}
    if node.kind == "language-model":
        return "LanguageModelHead", {"width": widths[0], "vocab": node.size}
    return "PooledHead", {"width": widths[0], "size": node.size, "pool": node.pool}


class Requests:
    """Specialised classes of a Plan's modules, by module name."""

    def __init__(self, plan: ir.Plan, specialiser: Any, backend: Backend) -> None:
        self.backend: Backend = backend
        self._parts: dict[str, Any] = {}
        for node in plan.nodes:
            if isinstance(node, ir.Embed):
                part = embedding(node, node.modality in plan.separate)
                self._ask(specialiser, node.module, node.modality, part)
            elif isinstance(node, ir.Fuse) and node.module:
                name, known = fusion(node, backend)
                taken = specialiser.parameters(name)
                constants = {each: value for each, value in known.items() if each in taken}
                self._ask(specialiser, node.module, node.stream, (name, constants))
            elif isinstance(node, ir.Stack):
                self._ask(specialiser, node.module, node.stream, stack(node, backend))
        for item in plan.heads:
            if item.tied is None:
                self._ask(specialiser, item.module, item.name, head(item, plan))

    def _ask(
        self, specialiser: Any, module: str, owner: str, part: tuple[str, dict[str, Any]]
    ) -> None:
        self._parts[module] = specialiser.request(part[0], part[1], camel(owner))

    def name(self, module: str) -> str:
        """Class of a module."""
        name: str = self._parts[module].name
        return name

    def call(self, module: str, arguments: Mapping[str, str]) -> str:
        """A call of a module with those of the arguments that its forward still takes."""
        taken = [arguments[parameter] for parameter in self._parts[module].forward]
        return f"self.{module}({', '.join(taken)})"

    @staticmethod
    def weight(node: ir.Embed) -> str:
        """A parameter of an embedding, for its dtype and device."""
        if node.kind == "table":
            return "weight" if 0 in node.columns else "categories.weight"
        if node.grid is not None:
            return "patch.weight"
        return "table.weight" if node.kind == "tokens" else "frames.weight"
