"""What a family of published models calls its weights, and how they lie in its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mmspec.families.draft import Draft
from mmspec.families.settings import Settings

Names = Mapping[str, tuple[str, ...]]
"""Of a module or weight here, those there whose rows follow one another; `#` counts layers."""

Inside = Mapping[str, str | tuple[str, ...]]
"""The same of what a layer holds, without the layer's own name."""

Layout = Literal["rows", "by-head", "transposed", "pixels", "frames", "batched", "flat"]
"""How what one weight holds lies there.

rows: as here. by-head: queries, keys and values of a head are neighbours. transposed: features come
before what is made of them. pixels, frames: the features of a patch keep their axes [channels,
(frames,) rows, columns]. batched: behind an axis of one. flat: without the first axis, of one.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A `model_type` of transformers; architecture: what its class's name ends with, or all of it.

    base: what stands before the names of a file that holds the model without its head.
    layouts: of weights (not biases, but for `by-head`), by module or weight here. zeros: tensors
    there that add nothing as long as they are zero. reads: kinds of its modalities. draft: a spec
    of its settings.
    """

    type: str
    names: Names
    draft: Callable[[Settings], Draft]
    base: str = ""
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("tokens",)
    architecture: str = "ForCausalLM"

    def of(self, name: str) -> tuple[str, ...]:
        """What a weight is called there; empty where the family has none such."""
        number, plain = _counted(name)
        ending = "" if plain in self.names else f".{plain.rpartition('.')[2]}"
        found = [there for entry in self.entry(name) for there in self.names[entry]]
        return tuple(f"{there.replace('#', number)}{ending}" for there in found)

    def entry(self, name: str) -> tuple[str, ...]:
        """The line of the table that names a weight: its own, or its module's; or none."""
        _, plain = _counted(name)
        return tuple(each for each in (plain, plain.rpartition(".")[0]) if each in self.names)[:1]

    def layout(self, name: str) -> Layout:
        """How a weight lies there."""
        _, plain = _counted(name)
        module, _, kind = plain.rpartition(".")
        found = self.layouts.get(plain) or self.layouts.get(module, "rows")
        return "rows" if kind == "bias" and found != "by-head" else found

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a model here whose weights it names: `text_embedding`, `text_stream`."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.names))


def _counted(name: str) -> tuple[str, str]:
    """The number of a weight's layer, and its name with `#` there."""
    parts = name.split(".")
    number = next((part for part in parts if part.isdigit()), "")
    return number, ".".join("#" if part.isdigit() else part for part in parts)


def within(module: str, inside: Inside, there: str) -> Names:
    """The names of what a module holds; `there`: what stands before the names there."""
    return {f"{module}.{ours}": prefixed(there, theirs) for ours, theirs in inside.items()}


def prefixed(there: str, names: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names below a module."""
    return tuple(f"{there}.{name}" for name in ((names,) if isinstance(names, str) else names))


def joined(pattern: str, letters: str = "qkv") -> tuple[str, ...]:
    """`{}_proj` as the maps to queries, keys and values."""
    return tuple(pattern.format(letter) for letter in letters)
