"""Plan -> the source text of `model.py` and `attention.py`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec, module_from_spec
from types import ModuleType

from mmspec.compiler import ir
from mmspec.compiler.emit import heads, init, inputs, objective, sparse, wiring
from mmspec.compiler.emit.package import BANNER
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.emit.wiring import Lines
from mmspec.compiler.specialise.source import library
from mmspec.version import __version__

LEGEND: Mapping[str, str] = {
    "b": "batch",
    "t": "tokens",
    "q": "queries",
    "k": "keys",
    "d": "width",
    "h": "heads",
    "w": "head width",
    "f": "hidden width",
    "v": "vocabulary",
    "e": "experts",
    "r": "rows",
}
"""What the letters after a tensor's name say, where they occur."""

_PICTURES = frozenset({"bchw", "bfchw"})
"""Of raw inputs: channels, height and width."""

PARTS = (
    "init",
    "inputs",
    "derived",
    "position",
    "ngrams",
    "path",
    "modality",
    "scores",
    "rotary",
    "drawn",
    "attention",
    "cross",
    "routing",
    "norm",
    "stream",
    "fusion",
    "halting",
    "head",
    "objective",
)
"""Modules of `compiler/parts` by name, in the order in which what they define is read."""


@cache
def part_modules() -> tuple[ModuleType, ...]:
    """The modules that hold the parts, to be read: none is executed, which would load torch."""
    return tuple(unexecuted(f"parts.{name}") for name in PARTS)


@cache
def defined(name: str) -> frozenset[str]:
    """What one of `PARTS` defines."""
    found = library((unexecuted(f"parts.{name}"),))
    return frozenset({*found.parts, *found.helpers})


def unexecuted(name: str) -> ModuleType:
    """A module of `mmspec.compiler` as `inspect.getsource` takes it."""
    found = find_spec(f"mmspec.compiler.{name}")
    assert found is not None, name
    return module_from_spec(found)


def forward(plan: ir.Plan, lines: Lines) -> None:
    """Write the statements of `forward`."""
    lines.write(*inputs.calls(plan))
    looked, stacked = len(lines.body), True
    for node in plan.nodes:
        if not isinstance(node, ir.Stack) or stacked:
            lines.write("")
        stacked = isinstance(node, ir.Stack)
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
        heads.head(plan, head, lines)
    lines.write("", "losses: dict[str, Tensor] = {}")
    objective.losses(plan, lines)
    given = {name: name if lines.gives(name) else "{}" for name in ("auxiliary", "statistics")}
    made = [f"{name}: dict[str, Tensor] = {{}}" for name in given if lines.gives(name)]
    lines.body[looked:looked] = made
    outputs = ", ".join(f"{head.name}={head.variable}" for head in plan.heads)
    more = ", ".join(f"{name}={value}" for name, value in given.items())
    lines.write(
        f"heads = {plan.class_name}Heads({outputs})",
        f"return {plan.class_name}Output(heads, loss, losses, {more})",
    )


def classes(plan: ir.Plan, requests: Requests, lines: Lines) -> tuple[str, ...]:
    """The sources of the model's output types and of its class."""
    written = (_heads_class(plan), _output_class(plan), _model_class(plan, requests, lines))
    return tuple("\n".join(block) + "\n" for block in written)


def registered(plan: ir.Plan) -> str:
    """The statements that name the output types for files of torch.export."""
    named = ((f"{plan.class_name}{suffix}", suffix) for suffix in ("Heads", "Output"))
    return "# torch.export.save writes these names.\n" + "".join(
        f'_register_namedtuple({kind}, serialized_type_name="{plan.name}.{suffix}")\n'
        for kind, suffix in named
    )


def _heads_class(plan: ir.Plan) -> Iterator[str]:
    yield f"class {plan.class_name}Heads(NamedTuple):"
    yield '    """What each head says."""'
    yield ""
    for head in plan.heads:
        yield f"    {head.name}: Tensor"
        yield f'    """{head.says}"""'


def _output_class(plan: ir.Plan) -> Iterator[str]:
    yield f"class {plan.class_name}Output(NamedTuple):"
    yield '    """Heads, losses where targets were given, auxiliary losses and statistics."""'
    yield ""
    yield f"    heads: {plan.class_name}Heads"
    yield "    loss: Tensor | None"
    yield "    losses: dict[str, Tensor]"
    yield "    auxiliary: dict[str, Tensor]"
    yield "    statistics: dict[str, Tensor]"


def _model_class(plan: ir.Plan, requests: Requests, lines: Lines) -> Iterator[str]:
    yield f"class {plan.class_name}(nn.Module):"
    yield from _docstring(plan)
    yield ""
    yield "    def __init__(self) -> None:"
    yield "        super().__init__()"
    for statement in wiring.constructor(plan, requests):
        yield f"        {statement}"
    started = tuple(init.method(plan, requests.named))
    if started:
        yield from ("        self.initialise()", "", *started)
    yield ""
    yield "    def forward("
    yield "        self,"
    yield "        *,"
    for given in plan.inputs:
        kind = "Tensor | None = None" if given.optional else "Tensor"
        yield f"        {given.name}: {kind},"
    yield "        lengths: Mapping[str, Tensor] | None = None,"
    yield "        targets: Mapping[str, Tensor] | None = None,"
    if inputs.packed(plan):
        yield "        documents: Mapping[str, Tensor] | None = None,"
    if inputs.added(plan):
        yield "        added: Mapping[str, Tensor] | None = None,"
    yield f"    ) -> {plan.class_name}Output:"
    for line in lines.statements():
        yield f"        {line}" if line else ""


def _docstring(plan: ir.Plan) -> Iterator[str]:
    about = summary(plan).removeprefix(f"{plan.class_name}: ")
    yield f'    """{about[:1].upper()}{about[1:]}'
    yield ""
    yield "    Inputs:"
    for given in plan.inputs:
        shape = ", ".join(str(size) for size in given.shape)
        note = ", optional" if given.optional else ""
        yield f"        {given.name}: {given.dtype} [{shape}] ({given.kind}{note})"
    yield "        lengths: int64 [B] by input name: its tokens or frames; 0 where it is absent"
    yield "        targets: by head name; losses are computed for those given"
    if inputs.packed(plan):
        yield "        documents: int64 [B, T] by input name: the document of each token, those of"
        yield "            one standing together (`document_ids` makes them); one where not given"
    for one in inputs.added(plan):
        what = f"a code below {one.codes}" if one.codes else f"{one.numbers} numbers"
        yield f'        added["{one.key}"]: {one.shape}: of each token {what}; 0 where not given'
    yield '    """'


def summary(plan: ir.Plan) -> str:
    """What a model is, in one line: the spec's own words where they are plain ones."""
    about = " ".join(plan.about.split()).rstrip(".")
    if about and re.fullmatch(r"[A-Za-z0-9 ,;:()+/%=-]+", about) and len(about) < 80:
        return f"{plan.class_name}: {about}."
    return f"The model of the spec `{plan.name}`."


def header(plan: ir.Plan, what: str, legend: str = "") -> str:
    """The docstring of an emitted file: what it is, where it comes from, the legend."""
    return (
        f'"""{what}\n\n'
        f"{BANNER} {__version__} from the spec `{plan.name}` (spec.yaml); change that, not this.\n"
        f'{legend}"""\n'
    )


def legend(code: str, letters: Mapping[str, str] = LEGEND) -> str:
    """What the letters after the names of a file's tensors say; "" where there are none."""
    ends = set(re.findall(r"\b[a-z][a-z_0-9]*_(b[a-z]{0,4}|[a-z]{1,2})\b", code))
    known = {*letters, *"cins"}
    read = {letter for end in ends - _PICTURES if known.issuperset(end) for letter in end}
    read -= set() if "q" in read else {"k"}  # of experts it counts those that a token goes to
    found = [f"{letter} {word}" for letter, word in letters.items() if letter in read]
    return textwrap.fill(f"Shapes: {', '.join(found)}.", 100) + "\n" if found else ""


def package_init(plan: ir.Plan, public: list[str]) -> str:
    """The text of `__init__.py`."""
    names = ", ".join(f'"{name}"' for name in sorted(public))
    return (
        f'"""{summary(plan)}\n\n{BANNER} {__version__} from the spec `{plan.name}`.\n"""\n\n'
        f"from .model import {', '.join(sorted(public))}\n\n"
        f"__all__ = [{names}]\n"
    )


def reserved(plan: ir.Plan) -> frozenset[str]:
    """Names that the wiring defines, so that no part may have them."""
    own = {f"{plan.class_name}{suffix}" for suffix in ("", "Heads", "Output")}
    masks = {name for site in plan.sites() for name in (f"{site.owner}_mask", *sparse.names(site))}
    return frozenset(own | masks)
