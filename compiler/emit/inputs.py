"""Plan -> the source of `check_inputs` and `check_targets`: what the model takes, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mmspec.compiler import ir
from mmspec.compiler.emit import masks

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
    | {"expect_added"}
)
"""Helpers that go to the package's inputs.py, beside these two."""


def packed(plan: ir.Plan) -> list[str]:
    """Inputs whose tokens may be packed documents."""
    groups = [group for site in plan.sites() for group in site.groups]
    asked = masks.documents(tuple(groups))
    return [given.name for given in plan.inputs if given.name in asked]


def added(plan: ir.Plan, segment: str | None = None) -> list[ir.Added]:
    """What else may be given of tokens: of all inputs, or of one."""
    return [one for given in plan.inputs if segment in (None, given.name) for one in given.added]


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
            yield _expected(given)
    yield from _placed(plan, "model")
    yield from _looked(plan, "batch = ")


def _placed(plan: ir.Plan, model: str) -> Iterator[str]:
    """Where the weights are, and lengths of known names there."""
    node = next(node for node in plan.nodes if isinstance(node, ir.Embed))
    yield f"device = {model}.{node.weight}.device"
    yield f'lengths = known("lengths", lengths, {_quoted(plan.inputs)}, device)'


def _looked(plan: ir.Plan, into: str) -> Iterator[str]:
    if packed(plan):
        names = [given for given in plan.inputs if given.name in packed(plan)]
        yield f'documents = known("documents", documents, {_quoted(names)}, device)'
    if added(plan):
        yield f'added = known("added", added, {_keys(added(plan))}, device)'
    yield f"{into}check_inputs({', '.join(_inputs(plan))})"


def following(plan: ir.Plan, segment: str) -> Iterator[str]:
    """Those of `decode`, of what else may be given of the next tokens of a segment."""
    found = added(plan, segment)
    if found:
        yield f'added = known("added", added, {_keys(found)}, ids_bc.device)'
        yield from (_expected_of(one, "*ids_bc.shape") for one in found)


def _expected_of(one: ir.Added, tokens: str) -> str:
    """The statement that looks at what else is given of tokens, of so many samples and tokens."""
    if one.numbers:
        return f'expect_added("{one.key}", added, ({tokens}, {one.numbers}))'
    shape = f"({tokens})" if ", " in tokens else f"({tokens},)"
    return f'expect_added("{one.key}", added, {shape}, codes={one.codes})'


def _keys(found: Sequence[ir.Added]) -> str:
    """A tuple display of the names by which they are given."""
    inner = ", ".join(f'"{one.key}"' for one in found)
    return f"({inner},)" if len(found) == 1 else f"({inner})"


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
    more = [*documents, *(["added"] if added(plan) else [])]
    return [*(given.name for given in plan.inputs), "lengths", *more, "device"]


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
        yield f"{there}{_expected(given)}"
        yield f'{there}expect_device("{given.name}", {given.name}, device)'
    names = ", ".join(f"{given.name}={given.name}" for given in plan.inputs)
    yield f"    batch = batch_size({names})"
    for given in plan.inputs:
        yield f'    expect_lengths("{given.name}", lengths, batch, {_most(given)})'
    for name in packed(plan):
        given = next(given for given in plan.inputs if given.name == name)
        shape = f"(batch, {_tokens(given)})"
        yield f'    expect_documents("{name}", documents, {shape}, {length(given)})'
    for given in plan.inputs:
        for one in given.added:
            yield f"    {_expected_of(one, f'batch, {_tokens(given)}')}"
    yield "    return batch"


def _expected(given: ir.Input) -> str:
    name, longest = given.name, "" if given.longest is None else f", longest={given.longest}"
    return f'{given.raw.check}("{name}", {name}, {given.raw.admits}{longest})'


def _most(given: ir.Input) -> str:
    """The largest length of a sample, in raw units."""
    most = "1" if given.longest is None else f"{given.name}.shape[1]"
    return f"0 if {given.name} is None else {most}" if given.optional else most


def _tokens(given: ir.Input) -> str:
    """How many tokens an input becomes."""
    return f"0 if {given.name} is None else {count(given)}" if given.optional else count(given)


def count(given: ir.Input) -> str:
    """How many tokens an input becomes that is there."""
    if given.longest is None:
        return str(given.tokens.max)
    frames, step = f"{given.name}.shape[1]", given.raw.step
    steps = frames if step == 1 else f"-(-{frames} // {step})"
    return steps if given.area == 1 else f"{steps} * {given.area}"


def length(given: ir.Input) -> str:
    """The lengths of an input's samples in tokens; whether it is there, where all are alike."""
    raw = f'lengths.get("{given.name}")'
    if given.raw.counter is None:
        return raw
    name, sizes = given.raw.counter
    return f"{name}({', '.join([raw, *map(str, sizes)])})"


def _check_targets(plan: ir.Plan) -> Iterator[str]:
    yield f"def check_targets({_typed(plan, _targets(plan))}) -> None:"
    yield '    """TypeError or ValueError for targets that their heads cannot be compared with."""'
    for head in plan.heads:
        told = {"batch": "batch", "size": f"{head.loss.counts}={head.size}", "first": "first=0"}
        for given in plan.inputs:
            if given.name == head.segment:
                told |= {"tokens": f"(batch, {_tokens(given)})", "length": length(given)}
        arguments = [f'"{head.name}"', "targets", *(told[name] for name in head.loss.told_of)]
        yield f"    {head.loss.check}({', '.join(arguments)})"


def _targets(plan: ir.Plan) -> list[str]:
    """Parameters of `check_targets`."""
    sized = ["batch"] if any(head.loss.told_of for head in plan.heads) else []
    read = [head.segment for head in plan.heads if head.segment is not None]
    more = [*dict.fromkeys(read), "lengths"] if read else []
    return ["targets", *sized, *more]
