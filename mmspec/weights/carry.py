"""A checkpoint's tensors as the weights of a spec's model, name by name, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Size, Tensor

from mmspec.compiler import driver
from mmspec.compiler.load import load
from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.schema.spec import Spec
from mmspec.weights.called import chosen, fitting, rows
from mmspec.weights.files import Checkpoint
from mmspec.weights.layout import Weight

_MADE: Final = re.compile(r"(inv_freq|position_ids|masked_bias|\.attn\.bias|\.attention\.bias)$")
"""Tables that models of old files kept beside their weights."""


@dataclass(frozen=True, slots=True)
class Match:
    """A weight here, and the tensors there that become it."""

    weight: Weight
    there: tuple[str, ...]
    shape: Size

    @property
    def name(self) -> str:
        """Of the weight."""
        return self.weight.name


@dataclass(frozen=True, slots=True)
class Carried:
    """Which weights of a spec's model a checkpoint has."""

    spec: Spec
    checkpoint: Checkpoint
    family: str | None
    """None: mmspec wrote it."""
    matches: tuple[Match, ...]
    missing: tuple[str, ...]
    """Weights here that the checkpoint does not have."""
    over: tuple[str, ...]
    """Tensors there that no weight here is made of."""
    copies: tuple[str, ...]
    """Tensors there that say nothing new: a table once more, zeros, what models make themselves."""
    left: tuple[str, ...]
    """Weights here and tensors there that were named to be left."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left over on either side but what was named."""
        return not self.missing and not self.over

    def state(self) -> dict[str, Tensor]:
        """The weights by name, for `load_state_dict`, of the types that they have there."""
        read = self.checkpoint.read(
            dict.fromkeys(name for one in self.matches for name in one.there)
        )
        return {
            one.name: one.weight.here([read[name] for name in one.there]) for one in self.matches
        }


def weights_of(spec: Spec) -> dict[str, Size]:
    """The shapes of all weights of a spec's model by name; none is drawn."""
    made = load(driver.emit(spec, "sdpa"))  # the same weights, and the fewest kernels to write
    with torch.device("meta"):
        model = made()
    return {name: value.shape for name, value in model.state_dict().items()}


def carry(
    spec: Spec, checkpoint: Checkpoint, family: str | None = None, leave: Iterable[str] = ()
) -> Carried:
    """What of a checkpoint becomes the weights of a spec's model.

    family: a `model_type`; None: what `config.json` says, else whose names fit most. leave: weights
    here, tensors there, or modules of either, that need not be found. Raises MmspecError MM623
    where no family fits, MM624 with what has another shape, or where nothing is called as `leave`.
    """
    shapes = weights_of(spec)
    there = None
    if family is not None or "mmspec" not in checkpoint.metadata:
        there = chosen(spec, [*shapes], checkpoint, family)
    left = _left(leave, (*shapes, *checkpoint.held))
    matches = []
    for name, shape in shapes.items():
        names = there.of(name) if there else (name,)
        if name not in left and names and all(each in checkpoint.held for each in names):
            layout = there.layout(name) if there else "rows"
            matches.append(Match(Weight(spec, name, layout), names, shape))
    _check(matches, checkpoint)
    found = {one.name for one in matches}
    used = {each for one in matches for each in one.there}
    over = [name for name in checkpoint.held if name not in used and name not in left]
    zeros = there.family.zeros if there else ()
    copies = (*_copies(over, matches, checkpoint), *_zeros(over, zeros, checkpoint))
    return Carried(
        spec,
        checkpoint,
        there.family.type if there else None,
        tuple(matches),
        tuple(name for name in shapes if name not in found and name not in left),
        tuple(name for name in over if name not in copies),
        copies,
        left,
    )


def back(spec: Spec, state: Mapping[str, Tensor], family: str | None = None) -> dict[str, Tensor]:
    """Weights of a spec's model by the names of transformers, as a family's files have them.

    family: None: the one that has names for all of them. Raises MmspecError MM623.
    """
    shapes = {name: value.shape for name, value in state.items()}
    there = fitting(spec, shapes, family)
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        weight = Weight(spec, name, there.layout(name))
        parts = weight.there(value, rows(name, shapes, there))
        found |= dict(zip(there.of(name), parts, strict=True))
    return found


def _left(leave: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that are among, or below, those to be left."""
    found: list[str] = []
    for each in leave:
        inside = [name for name in names if name == each or name.startswith(f"{each}.")]
        if not inside:
            modules = {name.rpartition(".")[0] for name in names}
            close = suggest(each, (*names, *modules))
            advice = f"did you mean `{close}`?" if close else ""
            what = f"nothing to be left is called `{each}`, here or there"
            raise MmspecError(Diagnostic("MM624", what, help=advice))
        found += inside
    return tuple(dict.fromkeys(found))


def _check(matches: list[Match], checkpoint: Checkpoint) -> None:
    """Raise MM624 where tensors there do not make the weight here, alike layers told once."""
    wrong: dict[str, list[Match]] = {}
    for one in matches:
        if _shape(one, checkpoint) != one.shape:
            wrong.setdefault(one.name.partition(".")[0], []).append(one)
    if wrong:
        raise MmspecError(_misfit(part, ones, checkpoint) for part, ones in wrong.items())


def _shape(one: Match, checkpoint: Checkpoint) -> Size | None:
    """Of what tensors there make; None where they make nothing."""
    parts = [torch.empty(checkpoint.held[name].shape, device="meta") for name in one.there]
    try:
        return one.weight.here(parts).shape
    except (RuntimeError, IndexError):
        return None


def _misfit(part: str, wrong: list[Match], checkpoint: Checkpoint) -> Diagnostic:
    """Of a part of the model: its first weight of another shape, and how many more there are."""
    first = wrong[0]
    there = ", ".join(f"`{name}` {[*checkpoint.held[name].shape]}" for name in first.there)
    more = f"; {len(wrong) - 1} more of `{part}` do not fit" if len(wrong) > 1 else ""
    what = f"`{first.name}` is {[*first.shape]}, and in the checkpoint {there}{more}"
    advice = f"give the spec its sizes; or `--leave {part}` takes none of these"
    return Diagnostic("MM624", what, help=advice)


def _copies(over: list[str], matches: list[Match], checkpoint: Checkpoint) -> tuple[str, ...]:
    """Tensors that repeat a table, number for number, or that models make themselves."""
    tables = [one.there[0] for one in matches if one.name.endswith(".table.weight")]
    found = [name for name in over if _MADE.search(name)]
    for name in over:
        alike = [
            each for each in tables if checkpoint.held[each].shape == checkpoint.held[name].shape
        ]
        if alike and name not in found:
            read = checkpoint.read((name, *alike))
            if any(torch.equal(read[name], read[each]) for each in alike):
                found.append(name)
    return tuple(found)


def _zeros(over: list[str], names: tuple[str, ...], checkpoint: Checkpoint) -> list[str]:
    """Which tensors of these names add nothing."""
    inside = [name for name in over if name in names]
    return [name for name, value in checkpoint.read(inside).items() if not value.any()]
