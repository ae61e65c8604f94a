"""Plan -> the source of `check_inputs` and `check_targets`: what the model takes, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.emit import masks
from mmspec.compiler.emit.requests import Requests

SUMMARY: Final = "What the model takes: anything else is an error that names it."
NAMES: Final = frozenset(
    {
        "known",
        "expect",
        "spelled",
        "kind",
        "unlike",
        "readable",
        "within",
        "patches",
        "tubelets",
        "batch_size",
        "NUMBERS",
        "INTEGERS",
    }
    | {f"expect_{what}" for what in ("room", "range", "numbers", "ids", "row", "lengths")}
    | {f"expect_{what}" for what in ("type", "device")}
    | {f"expect_{what}" for what in ("documents", "together", "classes", "values", "next", "any")}
)
"""Helpers that go to the package's inputs.py, beside these two."""


def packed(plan: ir.Plan) -> list[str]:
    """Inputs whose tokens may be packed documents."""
    groups = [group for site in plan.sites() for group in site.groups]
    asked = masks.documents(tuple(groups))
    return [given.name for given in plan.inputs if given.name in asked]


def calls(plan: ir.Plan) -> Iterator[str]:
    """The statements of `forward` that look at what it is given."""
    yield from _placed(plan, "self")
    yield f'targets = known("targets", targets, {_quoted(plan.heads)}, device)'
    read = "batch" in _targets(plan) or any(given.optional for given in plan.inputs)
    yield from _looked(plan, "batch = " if read else "")
    yield f"check_targets({', '.join(_targets(plan))})"


def prompt(plan: ir.Plan, segment: str) -> Iterator[str]:
    """Those of `prefill`, which needs its segment even where the model does not."""
    for given in plan.inputs:
        if given.name == segment and given.optional:
            yield _expected(plan, given)
    yield from _placed(plan, "model")
    yield from _looked(plan, "batch = ")


def _placed(plan: ir.Plan, model: str) -> Iterator[str]:
    """Where the weights are, and lengths of known names there."""
    node = next(node for node in plan.nodes if isinstance(node, ir.Embed))
    yield f"device = {model}.{node.module}.{Requests.weight(node)}.device"
    yield f'lengths = known("lengths", lengths, {_quoted(plan.inputs)}, device)'


def _looked(plan: ir.Plan, into: str) -> Iterator[str]:
    if packed(plan):
        names = [given for given in plan.inputs if given.name in packed(plan)]
        yield f'documents = known("documents", documents, {_quoted(names)}, device)'
    yield f"{into}check_inputs({', '.join(_inputs(plan))})"


def _quoted(items: Sequence[ir.Input | ir.Head]) -> str:
    """A tuple display of their names."""
    inner = ", ".join(f'"{item.name}"' for item in items)
    return f"({inner},)" if len(items) == 1 else f"({inner})"


def sources(plan: ir.Plan) -> Iterator[str]:
    """The two functions."""
    yield "\n".join(_check_inputs(plan)) + "\n"
    yield "\n".join(_check_targets(plan)) + "\n"


def _inputs(plan: ir.Plan) -> list[str]:
    """Parameters of `check_inputs`."""
    documents = ["documents"] if packed(plan) else []
    return [*(given.name for given in plan.inputs), "lengths", *documents, "device"]


def _typed(plan: ir.Plan, names: list[str]) -> str:
    """Parameters with their types."""
    known = {given.name: "Tensor | None" if given.optional else "Tensor" for given in plan.inputs}
    known |= {"batch": "int", "device": "torch.device"}
    return ", ".join(f"{name}: {known.get(name, 'Mapping[str, Tensor]')}" for name in names)


def _check_inputs(plan: ir.Plan) -> Iterator[str]:
    yield f"def check_inputs({_typed(plan, _inputs(plan))}) -> int:"
    yield '    """How many samples there are; TypeError or ValueError for what does not fit."""'
    for given in plan.inputs:
        if given.optional:
            yield f"    if {given.name} is not None:"
        there = "    " * (1 + given.optional)
        yield f"{there}{_expected(plan, given)}"
        yield f'{there}expect_device("{given.name}", {given.name}, device)'
    names = ", ".join(f"{given.name}={given.name}" for given in plan.inputs)
    yield f"    batch = batch_size({names})"
    for given in plan.inputs:
        yield f'    expect_lengths("{given.name}", lengths, batch, {_most(given)})'
    for name in packed(plan):
        given = next(given for given in plan.inputs if given.name == name)
        shape, length = f"(batch, {_tokens(given)})", _length(given)
        yield f'    expect_documents("{name}", documents, {shape}, {length})'
    yield "    return batch"


def _expected(plan: ir.Plan, given: ir.Input) -> str:
    name, longest = given.name, "" if given.longest is None else f", {given.longest}"
    if given.kind in ("tokens", "table"):
        node = next(
            node for node in plan.nodes if isinstance(node, ir.Embed) and node.modality == name
        )
        if given.kind == "table":
            return f'expect_row("{name}", {name}, {node.columns!r})'
        return f'expect_ids("{name}", {name}, {node.features}{longest})'
    sizes = ", ".join(str(size) if isinstance(size, int) else "None" for size in given.shape)
    return f'expect_numbers("{name}", {name}, ({sizes}){longest})'


def _most(given: ir.Input) -> str:
    """The largest length of a sample, in raw units."""
    most = "1" if given.longest is None else f"{given.name}.shape[1]"
    return f"0 if {given.name} is None else {most}" if given.optional else most


def _tokens(given: ir.Input) -> str:
    """How many tokens an input becomes."""
    if given.longest is None:
        tokens = str(given.tokens.max)
    else:
        frames = f"{given.name}.shape[1]"
        steps = frames if given.patch == 1 else f"-(-{frames} // {given.patch})"
        tokens = steps if given.area == 1 else f"{steps} * {given.area}"
    return f"0 if {given.name} is None else {tokens}" if given.optional else tokens


def _length(given: ir.Input) -> str:
    """The lengths of an input's samples in tokens."""
    length = f'lengths.get("{given.name}")'
    return length if given.patch == 1 else f"patches({length}, {given.patch})"


def _check_targets(plan: ir.Plan) -> Iterator[str]:
    yield f"def check_targets({_typed(plan, _targets(plan))}) -> None:"
    yield '    """TypeError or ValueError for targets that their heads cannot be compared with."""'
    for head in plan.heads:
        given = f'"{head.name}", targets'
        if head.loss == "contrastive":
            yield f"    expect_any({given})"
        elif head.loss == "cross-entropy":
            yield f"    expect_classes({given}, batch, {head.size})"
        elif head.loss == "mse":
            yield f"    expect_values({given}, batch, {head.size})"
        elif head.loss == "next-token":
            shape = f"(batch, {_tokens(_read(plan, head))})"
            length = f'lengths.get("{head.segment}")'
            yield f"    expect_next({given}, {shape}, {length}, {head.size})"


def _read(plan: ir.Plan, head: ir.Head) -> ir.Input:
    """The input whose tokens a head predicts."""
    return next(given for given in plan.inputs if given.name == head.segment)


def _targets(plan: ir.Plan) -> list[str]:
    """Parameters of `check_targets`."""
    sized = ["batch"] if any(head.loss != "contrastive" for head in plan.heads) else []
    read = [head.segment for head in plan.heads if head.loss == "next-token" and head.segment]
    more = [*dict.fromkeys(read), "lengths"] if read else []
    return ["targets", *sized, *more]
