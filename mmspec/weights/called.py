"""What the weights of a spec's model are called in the files of a family."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Size

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.families.family import Family, Layout
from mmspec.families.importing import known
from mmspec.families.table import FAMILIES, named
from mmspec.schema.spec import Spec
from mmspec.weights.files import Checkpoint

_ENDINGS: Final = ("_embedding", "_stream", "_head")


@dataclass(frozen=True, slots=True)
class Called:
    """Names of weights here, and there."""

    family: Family
    parts: Mapping[str, str]
    """Of a model here, by what the family calls it where that is another name."""
    is_bare: bool = False
    """The files hold the model without its head, and no name begins with the family's `base`."""

    def of(self, name: str) -> tuple[str, ...]:
        """What a weight is called there; empty where the family has none such."""
        base = f"{self.family.base}." if self.is_bare else ""
        return tuple(each.removeprefix(base) for each in self.family.of(self.renamed(name)))

    def layout(self, name: str) -> Layout:
        """How a weight lies there."""
        return self.family.layout(self.renamed(name))

    def renamed(self, name: str) -> str:
        """What a weight here would be called by the family's names of parts."""
        part, dot, rest = name.partition(".")
        return f"{self.parts.get(part, part)}{dot}{rest}"


def called(
    family: Family, spec: Spec, names: Iterable[str], there: Container[str] | None = None
) -> Called:
    """The names of a spec's weights by a family; there: the names of a file, None: not known.

    Where the only stream, modality or head of the model has another name than the family's, it is
    that all the same, if it is of the same kind.
    """
    mine = dict.fromkeys(name.partition(".")[0] for name in names)
    parts = {}
    for ending in _ENDINGS:
        unknown = [part for part in mine if part.endswith(ending) and part not in family.parts]
        free = [part for part in family.parts if part.endswith(ending) and part not in mine]
        if len(unknown) == len(free) == 1 and _alike(unknown[0], family, spec):
            parts[unknown[0]] = free[0]
    found = Called(family, parts)
    if there is None or any(each in there for name in names for each in found.of(name)):
        return found
    return Called(family, parts, is_bare=True)


def _alike(part: str, family: Family, spec: Spec) -> bool:
    """Whether a modality is of a kind that the family reads."""
    modality = spec.modalities.get(part.removesuffix("_embedding"))
    return modality is None or modality.kind in family.reads


def chosen(spec: Spec, names: list[str], checkpoint: Checkpoint, kind: str | None) -> Called:
    """How a checkpoint calls the weights of a spec's model.

    kind: a family; None: what `config.json` says, else whose names fit most. Raises MmspecError
    MM623 where there is none.
    """
    kind = kind or named(checkpoint.settings)
    if kind is not None:
        return called(known(kind), spec, names, checkpoint.held)

    def fits(one: Called) -> int:
        return sum(
            bool(t) and all(each in checkpoint.held for each in t) for t in map(one.of, names)
        )

    every = (called(family, spec, names, checkpoint.held) for family in FAMILIES.values())
    best = max(every, key=fits)
    if fits(best):
        return best
    advice = "say `--family TYPE`, or put its config.json beside it"
    what = f"no family calls its weights as {checkpoint.path} does"
    raise MmspecError(Diagnostic("MM623", what, help=advice))


def fitting(spec: Spec, shapes: Mapping[str, Size], kind: str | None) -> Called:
    """How a family calls all weights of a model, given by their shapes.

    Raises MmspecError MM623 where none has names for all of them, or several that differ.
    """
    families = [*FAMILIES.values()] if kind is None else [known(kind)]
    found = [called(family, spec, shapes) for family in families]
    whole = [one for one in found if not _strange(one, shapes)]
    least = min((len(_unused(one, shapes)) for one in whole), default=0)
    whole = [one for one in whole if len(_unused(one, shapes)) == least]
    ways = {tuple(map(one.of, shapes)): one for one in whole}
    if len(ways) == 1:
        return next(iter(ways.values()))
    if ways:
        types = ", ".join(one.family.type for one in whole)
        what, advice = f"{types} all have names for these weights", "say `--family TYPE`"
    else:
        nearest = min(found, key=lambda one: len(_strange(one, shapes)))
        what = f"no family has a name for `{_strange(nearest, shapes)[0]}`"
        advice = f"nearest is {nearest.family.type}"
    raise MmspecError(Diagnostic("MM623", what, help=advice))


def _strange(one: Called, shapes: Mapping[str, Size]) -> list[str]:
    """The weights that a family has no name for, or none of that many rows."""
    return [name for name in shapes if not one.of(name) or not rows(name, shapes, one)]


def _unused(one: Called, shapes: Iterable[str]) -> set[str]:
    """What a family's layers hold, and a model's do not."""
    used = {each for name in shapes for each in one.family.entry(one.renamed(name))}
    return {name for name in one.family.names if "#" in name} - used


def rows(name: str, shapes: Mapping[str, Size], there: Called) -> list[int]:
    """How many rows of a weight each of its tensors has there; empty where that cannot be.

    There are as many queries as what leaves attention has columns, and maybe fewer keys.
    """
    count, shape = len(there.of(name)), shapes[name]
    if count == 1:
        return [*shape[:1]] or [1]
    output = shapes.get(f"{name.rpartition('.')[0].rpartition('.')[0]}.output.weight")
    if ".qkv." in name and output is not None:
        queries = output[1]
        others = count - 1  # one where the keys of a biased map have no bias
        return [queries, *[(shape[0] - queries) // others] * others]
    return [shape[0] // count] * count if shape[0] % count == 0 else []
