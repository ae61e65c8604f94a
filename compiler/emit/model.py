"""Plan -> the source text of `model.py` and `attention.py`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from types import ModuleType

from mmspec.compiler import ir
from mmspec.compiler.emit import wiring
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.emit.wiring import Lines

LEGEND = "b batch, t tokens, d width, h heads, w head width, f hidden width, e experts, r rows"


def part_modules() -> tuple[ModuleType, ...]:
    """The modules that hold the parts."""
    from mmspec.compiler.parts import (
        attention,
        fusion,
        halting,
        head,
        modality,
        objective,
        routing,
        stream,
    )

    return modality, attention, routing, stream, fusion, halting, head, objective


def forward(plan: ir.Plan, lines: Lines) -> None:
    """Write the statements of `forward`."""
    names = [given.name for given in plan.inputs]
    heads = [head.name for head in plan.heads]
    lines.write(
        f'lengths = known("lengths", lengths, {_names(names)})',
        f'targets = known("targets", targets, {_names(heads)})',
    )
    if all(given.optional for given in plan.inputs):
        absent = " and ".join(f"{name} is None" for name in names)
        lines.write(
            f"if {absent}:",
            f'    raise ValueError("give at least one of: {", ".join(names)}")',
        )
    lines.write("statistics: dict[str, Tensor] = {}", "auxiliary: dict[str, Tensor] = {}")
    if any(given.optional for given in plan.inputs):
        given_names = ", ".join(names)
        lines.write(f"batch = batch_size({given_names})")
    for node in plan.nodes:
        lines.write("")
        if isinstance(node, ir.Embed):
            wiring.embed(plan, node, lines)
        elif isinstance(node, ir.Project):
            wiring.project(node, lines)
        elif isinstance(node, ir.Fuse):
            wiring.fuse(node, lines)
        else:
            wiring.stack(plan, node, lines)
    lines.write("")
    for head in plan.heads:
        wiring.head(plan, head, lines)
    lines.write("", "losses: dict[str, Tensor] = {}", "terms: list[Tensor] = []")
    wiring.losses(plan, lines)
    outputs = ", ".join(f"{head.name}={head.name}_logits" for head in plan.heads)
    lines.write(
        f"heads = {plan.class_name}Heads({outputs})",
        f"return {plan.class_name}Output(heads, loss, losses, auxiliary, statistics)",
    )


def _names(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"


def model_class(plan: ir.Plan, requests: Requests, lines: Lines) -> Iterator[str]:
    """The source of the model's output types and class."""
    yield f"class {plan.class_name}Heads(NamedTuple):"
    yield '    """What each head says."""'
    yield ""
    for head in plan.heads:
        yield f"    {head.name}: Tensor"
        yield f'    """{_meaning(head)}"""'
    yield ""
    yield ""
    yield f"class {plan.class_name}Output(NamedTuple):"
    yield '    """Heads, losses where targets were given, auxiliary losses and statistics."""'
    yield ""
    yield f"    heads: {plan.class_name}Heads"
    yield "    loss: Tensor | None"
    yield "    losses: dict[str, Tensor]"
    yield "    auxiliary: dict[str, Tensor]"
    yield "    statistics: dict[str, Tensor]"
    yield ""
    yield ""
    yield f"class {plan.class_name}(nn.Module):"
    yield from _docstring(plan)
    yield ""
    yield "    def __init__(self) -> None:"
    yield "        super().__init__()"
    for statement in wiring.constructor(plan, requests):
        yield f"        {statement}"
    yield ""
    yield "    def forward("
    yield "        self,"
    yield "        *,"
    for given in plan.inputs:
        kind = "Tensor | None = None" if given.optional else "Tensor"
        yield f"        {given.name}: {kind},"
    yield "        lengths: Mapping[str, Tensor] | None = None,"
    yield "        targets: Mapping[str, Tensor] | None = None,"
    yield f"    ) -> {plan.class_name}Output:"
    for line in lines.body:
        yield f"        {line}" if line else ""


def _meaning(head: ir.Head) -> str:
    shapes = {
        "classifier": f"Class logits [B, {head.size}].",
        "regressor": f"Numbers [B, {head.size}].",
        "language-model": f"Next-token logits of {head.segment} [B, T, {head.size}].",
        "contrastive": "Similarity of each pair of samples [B, B].",
    }
    return shapes[head.kind]


def _docstring(plan: ir.Plan) -> Iterator[str]:
    yield f'    """The model of the spec `{plan.name}`.'
    yield ""
    yield "    Inputs:"
    for given in plan.inputs:
        shape = ", ".join(str(size) for size in given.shape)
        note = ", optional" if given.optional else ""
        yield f"        {given.name}: {given.dtype} [{shape}] ({given.kind}{note})"
    yield "        lengths: int64 [B] by input name: its tokens or frames; 0 where it is absent"
    yield "        targets: by head name; losses are computed for those given"
    yield '    """'


def header(plan: ir.Plan, spec_name: str, what: str) -> str:
    """The docstring of an emitted file: what it is, where it comes from, the legend."""
    command = f"mmspec compile {spec_name}"
    return textwrap.dedent(
        f'''\
        """{what}

        Compiled by mmspec from {spec_name}; edit the spec and run `{command}`, not this file.
        Shapes: {LEGEND}.
        """
        '''
    )
