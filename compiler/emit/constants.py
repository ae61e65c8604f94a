"""Names of a model's constants: `DEPTH`, or `TEXT_DEPTH` where streams differ in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from mmspec.compiler import ir
from mmspec.compiler.specialise.constants import Constants
from mmspec.compiler.specialise.nodes import unused
from mmspec.schema.spec import camel

ROLES: Final = (
    *("VOCABULARY", "BUCKETS", "CONTEXT", "FEATURES", "CHANNELS", "TUBELET", "PATCH"),
    *("ROWS", "COLUMNS", "PATCHES", "DEPTH", "STEPS", "WIDTH", "HEADS", "KV_HEADS", "HEAD_WIDTH"),
    *("HIDDEN", "EXPERTS", "CHOICES", "LATENTS", "RANK", "CLASSES", "OUTPUTS", "PROJECTION"),
    "MEASURES",
)
"""What a constant is, in the order in which they are read."""

_FIELDS: Final = {
    **{
        "vocab": "VOCABULARY",
        "buckets": "BUCKETS",
        "max_tokens": "CONTEXT",
        "positions": "CONTEXT",
    },
    **{"features": "FEATURES", "sizes[0]": "CHANNELS", "tubelet": "TUBELET", "patch": "PATCH"},
    **{"grid[0]": "ROWS", "grid[1]": "COLUMNS", "columns": "COLUMNS"},
    **{"depth": "DEPTH", "at_most": "STEPS"},
    **{"width": "WIDTH", "widths[0]": "WIDTH", "widths[1]": "WIDTH"},
    **{"key_width": "WIDTH"},
    **{"numbers": "MEASURES"},
    **{"heads": "HEADS", "kv_heads": "KV_HEADS", "head_width": "HEAD_WIDTH"},
    **{"experts": "EXPERTS", "choose": "CHOICES", "queries": "LATENTS", "rank": "RANK"},
}
"""What the fields of parts and of the Plan's records are."""


_RAW: Final = {
    **{"vocab": "VOCABULARY", "features": "FEATURES", "channels": "CHANNELS"},
    **{"tubelet": "TUBELET", "patch": "PATCH"},
}
"""What the sizes of raw values are."""


class Fact(NamedTuple):
    """A constant of a stream, a modality or a head."""

    role: str
    owner: str
    value: int


@dataclass(frozen=True)
class Named:
    """The constants of a plan by name; `taken`: names that something else has."""

    plan: ir.Plan
    taken: frozenset[str]

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """Every constant that may have a name: each of a role and an owner once."""
        return tuple(dict.fromkeys(fact for fact in _facts(self.plan) if fact.value > 1))

    @cached_property
    def names(self) -> Mapping[Fact, str]:
        """The role alone where all owners share it, or more than one does; else with the owner."""
        found: dict[Fact, str] = {}
        taken = set(self.taken)
        for role in ROLES:
            owners = self._owners(role)
            shared = [value for value, those in owners.items() if len(those) > 1]
            plain = next(iter(owners if len(owners) == 1 else shared), None)
            if plain is not None:
                name = unused(role, taken)
                found |= {Fact(role, owner, plain): name for owner in owners.pop(plain)}
            for value, those in owners.items():
                for owner in those:
                    name = unused(f"{owner.upper()}_{role}", taken)
                    found[Fact(role, owner, value)] = name
                    taken.add(name)
            taken |= set(found.values())
        return found

    @cached_property
    def _convolved(self) -> set[int]:
        """Features that convolutions give, whose numbers are theirs even where a width is alike."""
        raws = (node.raw for node in self.plan.nodes if isinstance(node, ir.Embed))
        stems = (getattr(raw, "stem", None) or () for raw in raws)
        steps = (step for stem in stems for step in stem)
        return {step.features for step in steps if isinstance(step, ir.ConvolutionStep)}

    def _owners(self, role: str) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for fact in self.facts:
            if fact.role == role:
                found.setdefault(fact.value, []).append(fact.owner)
        return found

    def name(self, record: object, field: str, value: int, owner: str) -> str | None:
        """What a field of a part or of a record is called. As `Naming`."""
        roles: tuple[str, ...] = (_FIELDS.get(field, ""),)
        if field == "tokens":
            roles = ("PATCHES", "CONTEXT")
        if field == "width" and isinstance(record, ir.Mlp | ir.Glu | ir.Experts | ir.ByModality):
            roles = ("HIDDEN",)
        if field in ("inputs", "features") and isinstance(record, ir.LinearStep | ir.NormStep):
            roles = () if field == "inputs" and value in self._convolved else ("WIDTH",)
        if field == "width" and isinstance(record, ir.Rotary):
            roles = ("HEAD_WIDTH",)
        if field == "kv_heads":
            alike = isinstance(record, ir.Attention) and record.heads == record.kv_heads
            roles = ("HEADS",) if alike else ("KV_HEADS",)
        if field == "size":
            roles = ("CLASSES", "OUTPUTS", "VOCABULARY", "PROJECTION")
        found = [fact for fact in self.names if fact.role in roles and fact.value == value]
        own = (fact for fact in found if owner in (fact.owner, camel(fact.owner)))
        fact = next(own, found[0] if found else None)
        return self.names[fact] if fact else None

    def of(self, field: str, value: int, owner: str) -> str:
        """The name of a constant of no record, or its number where it has none."""
        return self.name(None, field, value, owner) or str(value)

    @cached_property
    def constants(self) -> Constants:
        """What the specialiser takes."""
        values = {name: fact.value for fact, name in self.names.items()}
        products = {(heads, width): whole for width, (whole, heads) in self._split()}
        products |= {grid: patches for patches, grid in self._grids()}
        return Constants(self.name, values, products)

    def _split(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Names of head widths, with that of the width and of the heads that they are of."""
        for name, owners in self._named("HEAD_WIDTH").items():
            whole, heads = (self._one(role, owners) for role in ("WIDTH", "HEADS"))
            width = next(fact.value for fact in self.names if self.names[fact] == name)
            if whole and heads and whole.value == heads.value * width:
                yield name, (self.names[whole], self.names[heads])

    def _grids(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Names of numbers of patches, with those of their rows and columns."""
        for name, owners in self._named("PATCHES").items():
            rows, columns = (self._one(role, owners) for role in ("ROWS", "COLUMNS"))
            if rows and columns:
                yield name, (self.names[rows], self.names[columns])

    def _named(self, role: str) -> dict[str, list[str]]:
        """Names of a role, each with its owners."""
        found: dict[str, list[str]] = {}
        for fact, name in self.names.items():
            if fact.role == role:
                found.setdefault(name, []).append(fact.owner)
        return found

    def _one(self, role: str, owners: Iterable[str]) -> Fact | None:
        """The constant of a role that all of some owners have under one name."""
        found = [fact for fact in self.names if fact.role == role and fact.owner in owners]
        same = len({self.names[fact] for fact in found}) == 1
        return found[0] if same and len(found) == len(set(owners)) else None

    def definitions(self, used: Iterable[str]) -> list[str]:
        """The lines that define those of the names that are used, and what they are made from."""
        values = {name: fact.value for fact, name in self.names.items()}
        texts = {name: str(value) for name, value in values.items()}
        texts |= {name: f"{whole} // {heads}" for name, (whole, heads) in self._split()}
        for name, owners in self._named("HIDDEN").items():
            whole = self._one("WIDTH", owners)
            if whole and values[name] % whole.value == 0 and values[name] > whole.value:
                texts[name] = f"{values[name] // whole.value} * {self.names[whole]}"
        texts |= {name: f"{rows} * {columns}" for name, (rows, columns) in self._grids()}
        wanted = set(used)
        wanted |= {word for name in wanted & texts.keys() for word in texts[name].split()}
        return [f"{name} = {text}\n" for name, text in texts.items() if name in wanted]


def _facts(plan: ir.Plan) -> Iterator[Fact]:
    for node in plan.nodes:
        if isinstance(node, ir.Embed):
            yield from _embedded(node)
        elif isinstance(node, ir.Stack):
            yield Fact("DEPTH", node.stream, node.depth)
            if node.halting is not None:
                yield Fact("STEPS", node.stream, node.halting.most_steps)
            for block in node.variants:
                yield from _block(block, node.stream)
        elif isinstance(node, ir.Fuse) and node.module:
            yield Fact("WIDTH", node.stream, node.out.width)
            for site in node.attentions:
                yield Fact("HEADS", f"{node.stream}_fusion", site.heads)
            yield from _fused(node.fusion, f"{node.stream}_fusion")
        elif isinstance(node, ir.Project):
            yield Fact("WIDTH", node.stream, node.out.width)
            yield from _mapped(node.through, node.module)
    for head in plan.heads:
        yield from _mapped(head.answer.path, head.name)
        if head.answer.constant:
            yield Fact(head.answer.constant, head.name, head.size)


def _mapped(path: ir.Path, owner: str) -> Iterator[Fact]:
    for step in path:
        if isinstance(step, ir.LinearStep):
            yield Fact("WIDTH", f"{owner}_{step.module}", step.outputs)


def _embedded(node: ir.Embed) -> Iterator[Fact]:
    yield Fact("WIDTH", node.stream, node.out.width)
    for one in node.sum.added:
        yield Fact("MEASURES", f"{one.modality}_{one.name}", one.numbers)
    tokens = node.own.tokens
    if tokens.symbol is not None:
        yield Fact("CONTEXT", node.modality, tokens.max)
    for each, role in _RAW.items():
        size = getattr(node.raw, each, None)
        if size is not None:
            yield Fact(role, node.modality, size)
    grams = getattr(node.raw, "ngrams", None)
    if grams is not None:
        yield Fact("BUCKETS", node.modality, grams.buckets)
    grid = getattr(node.raw, "grid", None)
    if grid is not None:
        sizes = (*grid, grid[0] * grid[1])
        yield from map(Fact, ("ROWS", "COLUMNS", "PATCHES"), [node.modality] * 3, sizes)


def _fused(fusion: ir.Fusion, owner: str) -> Iterator[Fact]:
    if isinstance(fusion, ir.Transformer):
        yield Fact("DEPTH", owner, fusion.depth)
        yield from _block(fusion.block, owner)
    for role, value in fusion.constants:
        yield Fact(role, owner.removesuffix("_fusion"), value)


def _block(block: ir.Block, owner: str) -> Iterator[Fact]:
    yield Fact("WIDTH", owner, block.width)
    for site in block.attentions:
        yield Fact("HEADS", owner, site.heads)
        if site.kv_heads != site.heads:
            yield Fact("KV_HEADS", owner, site.kv_heads)
        yield Fact("HEAD_WIDTH", owner, site.head_width)
    for layer in block.feed_forwards:
        yield Fact("HIDDEN", owner, layer.width)
        if isinstance(layer, ir.Experts):
            yield Fact("EXPERTS", owner, layer.experts)
            yield Fact("CHOICES", owner, layer.choose)
