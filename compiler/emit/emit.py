"""Plan -> Package: parts specialised, wiring written, files put together."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile

from mmspec.compiler import ir
from mmspec.compiler.emit import decoding, inputs, model, runtime, sparse
from mmspec.compiler.emit.constants import Named
from mmspec.compiler.emit.package import Package, manifest
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.emit.sparse import Backend
from mmspec.compiler.emit.wiring import Lines
from mmspec.compiler.kernels import kernel_file
from mmspec.compiler.kernels.kernel_mask import Mask
from mmspec.compiler.specialise.fragment import Fragment
from mmspec.compiler.specialise.imports import import_block
from mmspec.compiler.specialise.nodes import names_read
from mmspec.compiler.specialise.specialise import Specialiser
from mmspec.compiler.specialise.tidy import tidy
from mmspec.compiler.specialise.unrepeated import Unrepeated
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec

ATTENTION = frozenset(
    {"visible", "visible_keys", "visible_by_head", "visible_by_sample", "attend_by_head"}
    | {"normed_together"}
    | {"by_head", "random_blocks", "mixed", "packed", "document_ids"}
    | {"document_spans", "shared_span", "document_runs", "document_places"}
    | {"rotation", "rotate", "Rotation", "Attention", "CrossAttention"}
    | {"ContextAttention", "zero_without_keys"}
    | {"rotation_by", "rotary_rates", "llama3_rates", "rotate_neighbours", "rotate_some"}
    | {"rotate_some_neighbours", "PartlyBiased"}
)
"""Helpers and parts that go to the package's attention.py, beside the masks."""

PAGE = 60
"""Lines of attention from which on it has a file of its own."""

STANDARD = (
    "from collections.abc import Iterator, Mapping",
    "from itertools import pairwise, product",
    "from typing import NamedTuple",
    "import math",
    "import torch",
    "import torch.nn.functional as F",
    "from torch import Tensor, nn",
    "from torch.utils._pytree import _register_namedtuple",
)
"""What the wiring may need, besides what the parts import."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A top-level function, class or constant of the package."""

    name: str
    source: str
    uses: frozenset[str]


@dataclass(slots=True)
class _Definitions:
    """Those of each file that is the model's own, in order."""

    inputs: list[Definition] = field(default_factory=list)
    attention: list[Definition] = field(default_factory=list)
    model: list[Definition] = field(default_factory=list)

    def home(self, part: str) -> list[Definition]:
        """Where a helper or a class of a part goes."""
        if part in inputs.NAMES:
            return self.inputs
        return self.attention if part in ATTENTION | model.defined("scores") else self.model

    def gather(self, norms: set[str]) -> None:
        """Bring to attention what it is made of: norms of queries and keys, among these classes."""
        used = {name for item in self.attention for name in item.uses} & norms
        self.attention[:0] = [item for item in self.model if item.name in used]
        self.model = [item for item in self.model if item.name not in used]


def emit(plan: ir.Plan, spec: Spec, backend: Backend = "auto") -> Package:
    """Emit the package of a plan; the same spec, backend and version give the same bytes."""
    reserved = model.reserved(plan)
    named = Named(plan, frozenset(name.upper() for name in reserved))
    starts = {"STARTS": plan.init is None}
    specialiser = Specialiser(model.part_modules(), reserved, starts, named.constants)
    requests = Requests(plan, specialiser, backend, named)
    lines = Lines(requests, asked=frozenset(inputs.packed(plan)))
    model.forward(plan, lines)
    checks = list(inputs.sources(plan))
    statements = "\n".join(lines.statements())
    read = set[str]().union(*map(_read, (statements, *lines.masks, *checks)))
    fragment = specialiser.finish(read)
    own = _Definitions()
    once = Unrepeated()
    seen = [*once.sources(lines.patterns), *once.sources(lines.masks, alias=True)]
    own.attention += [_definition(tidy(source)) for source in seen]
    norms: set[str] = set()
    for part, definition in _parts(fragment):
        own.home(part).append(definition)
        norms |= {definition.name} if part in model.defined("norm") else set()
    own.gather(norms)
    own.inputs = _read_first([_definition(tidy(source)) for source in checks], own.inputs)
    *types, main = (tidy(text) for text in model.classes(plan, requests, lines))
    types[-1] = f"{types[-1].rstrip()}\n\n\n{tidy(model.registered(plan))}"
    own.model += [_definition(text) for text in (*types, main)]
    steps = decoding.sources(plan, requests, specialiser)
    return _package(plan, spec, fragment.imports, own, lines.kernels, steps, named)


def _read_first(first: list[Definition], helpers: list[Definition]) -> list[Definition]:
    """Constants, then what a reader is to meet first, then the functions that it calls."""
    constants = [item for item in helpers if item.name.isupper()]
    return [*constants, *first, *(item for item in helpers if item not in constants)]


def _parts(fragment: Fragment) -> Iterable[tuple[str, Definition]]:
    """Helpers by their name, then classes by the part they come from."""
    for source in fragment.functions:
        definition = _definition(source)
        yield definition.name.rstrip("_0123456789"), definition
    for item in fragment.classes:
        yield item.part, _definition(item.source)


def _package(
    plan: ir.Plan,
    spec: Spec,
    imports: frozenset[str],
    own: _Definitions,
    masks: list[Mask],
    steps: list[str],
    named: Named,
) -> Package:
    """Distribute definitions over files; each file imports what it uses."""
    homes: dict[str, str] = {}
    lines = [*STANDARD, *(line for line in imports if "mmspec" not in line)]
    files: dict[str, str] = {}
    homes.update(runtime.needed(imports))
    stepped = [_definition(tidy(source)) for source in steps]
    used = {name for item in stepped for name in item.uses}
    known = runtime.needed(decoding.parts().imports.values())
    homes.update({name: home for name, home in known.items() if name in used})
    using = "".join(item.source for item in own.attention)
    if any(mask.has_tables for mask in masks):
        homes.update(dict.fromkeys(sparse.TABLE_NAMES, "runtime.tables"))
    files.update(runtime.files(homes.values(), using))
    if masks:
        homes.update(dict.fromkeys(sparse.NAMES, "runtime.sparse_pattern"))
        about = "Attention on a GPU: a kernel forward, two backward, for each mask."
        files["kernels.py"] = kernel_file.module(model.header(plan, about), masks)
    own_code = (*own.attention, *own.model, *stepped)
    read = frozenset[str]().union(*(item.uses for item in own_code))
    sizes = [_definition(line) for line in named.definitions(read)]
    if _is_short(own.attention):
        together = [*own.attention, *own.model]
        own.model = sorted(together, key=lambda item: item.source.startswith("class "))
        own.model[:0] = sizes
    else:
        if sizes:
            files["sizes.py"] = _file(plan, "Sizes of the model.", sizes, lines, homes)
            homes.update({item.name: "sizes" for item in sizes})
        files["attention.py"] = _file(
            plan, "Attention of the model, and who sees whom.", own.attention, lines, homes
        )
        homes.update({item.name: "attention" for item in own.attention})
    files["inputs.py"] = _file(plan, inputs.SUMMARY, own.inputs, lines, homes)
    homes.update({item.name: "inputs" for item in own.inputs})
    files["model.py"] = _file(plan, model.summary(plan), own.model, lines, homes)
    if steps:
        homes.update({item.name: "model" for item in own.model})
        files["decoding.py"] = _decoding(plan, stepped, lines, homes)
    public = [f"{plan.class_name}{suffix}" for suffix in ("", "Heads", "Output")]
    files["__init__.py"] = model.package_init(plan, public)
    files["spec.yaml"] = dump(spec)
    counts = {"modules": sum("class " in item.source for item in own.model)}
    ordered = {name: files[name] for name in sorted(files)}
    ordered["manifest.json"] = manifest(ordered, files["spec.yaml"], counts)
    return Package(plan.name, plan.class_name, ordered)


def _is_short(definitions: list[Definition]) -> bool:
    """Whether they are less than a page, and stand before those of the model in one file."""
    return sum(item.source.count("\n") + 2 for item in definitions) < PAGE


def _decoding(
    plan: ir.Plan, written: list[Definition], imports: list[str], homes: dict[str, str]
) -> str:
    """The text of decoding.py."""
    read = frozenset[str]().union(*(item.uses for item in written))
    there = homes.keys() | {item.name for item in written}
    helpers = [_definition(source) for source in decoding.helpers(read, there)]
    known = [*imports, *(x for x in decoding.parts().imports.values() if "mmspec" not in x)]
    return _file(plan, decoding.SUMMARY, [*helpers, *written], known, homes)


def _file(
    plan: ir.Plan,
    what: str,
    definitions: list[Definition],
    imports: list[str],
    homes: dict[str, str],
) -> str:
    """The text of one module."""
    used = frozenset[str]().union(*(item.uses for item in definitions))
    own = {item.name for item in definitions}
    needed = [line for line in imports if _bound(line) & used - own]
    needed += [f"from .{homes[name]} import {name}" for name in sorted(used & homes.keys() - own)]
    letters = decoding.LEGEND if what == decoding.SUMMARY else model.LEGEND
    code = "\n".join(item.source for item in definitions)
    head = model.header(plan, what, model.legend(code, letters))
    if "nn" in used and what != inputs.SUMMARY:
        head += "# mypy: no-warn-return-any\n"  # torch types what modules give as Any
    head += "\nfrom __future__ import annotations\n"
    block = import_block(_narrowed(needed, used))
    constants = list(takewhile(lambda item: item.name.isupper(), definitions))
    block += "\n" * bool(constants) + "".join(f"\n{item.source.rstrip()}" for item in constants)
    others = (item.source.rstrip() for item in definitions[len(constants) :])
    return "\n\n\n".join([f"{head}\n{block.lstrip()}".rstrip(), *others]) + "\n"


def _narrowed(lines: Iterable[str], used: frozenset[str]) -> list[str]:
    """`from x import a, b` with the names that are used only."""
    found = []
    for line in lines:
        head, _, names = line.partition(" import ")
        if line.startswith("import "):
            found.append(line)
            continue
        found += [f"{head} import {name}" for name in names.split(", ") if name in used]
    return found


def _bound(line: str) -> set[str]:
    """Names that an import line binds."""
    names = line.rpartition("import ")[2].split(", ")
    return {name.rpartition(" as ")[2] for name in names}


@lru_cache(maxsize=1024)
def _definition(source: str) -> Definition:
    tree = ast.parse(source)
    node = tree.body[0]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        assert isinstance(target, ast.Name)
        name = target.id
    else:
        assert isinstance(node, ast.FunctionDef | ast.ClassDef), source
        name = node.name
    return Definition(name, source, frozenset(names_read(tree)))


def _read(source: str) -> set[str]:
    """Names that a piece of source reads; those in annotations too."""
    return set(names_read(ast.parse(_as_function(source))))


def _as_function(source: str) -> str:
    body = "\n".join(f"    {line}" for line in source.splitlines())
    return f"def _():\n{body}"
