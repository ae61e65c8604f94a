"""What the next tokens of a segment see of kept keys, and which of these later ones still see."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmspec.compiler import ir
from mmspec.compiler.emit.masks import combined, drawn
from mmspec.compiler.relations.meaning.definitions import is_closed, meaning
from mmspec.compiler.relations.meaning.formula import ALWAYS, NEVER, as_source, both
from mmspec.compiler.relations.meaning.geometry import Geometry, line
from mmspec.expressions.mask import FULL, NONE, Mask, Pattern, unparse

if TYPE_CHECKING:
    from mmspec.compiler.relations.meaning.alive import Alive

_CAUSAL: Final = Pattern("causal")


def seen(
    groups: tuple[ir.Group, ...], query: ir.Segment, keys: tuple[ir.Segment, ...]
) -> list[ir.Segment]:
    """Segments of which queries see anything, in the order of the sequence."""
    return [key for key in keys if any(_mask(g, query, key) != NONE for g in groups)]


def _mask(group: ir.Group, query: ir.Segment, key: ir.Segment) -> Mask:
    pairs = {(one, other): mask for one, other, mask in group.masks}
    return pairs.get((query.name, key.name), NONE)


@dataclass(frozen=True, slots=True)
class Sight:
    """An attention as the next tokens of a segment have it.

    name: of the function that says what they see; of: whose attention it is, in words.
    """

    name: str
    of: str
    segment: ir.Segment
    groups: tuple[ir.Group, ...]

    def alive(self, key: ir.Segment) -> Alive | None:
        """Keys of a segment that later tokens may see; None: all of them."""
        masks = tuple(_mask(group, self.segment, key) for group in self.groups)
        if any(mask in (FULL, _CAUSAL) for mask in masks):
            return None
        from mmspec.compiler.relations.meaning.alive import alive

        found = alive(masks, self.segment.geometry, key.geometry, own=key == self.segment)
        return None if found.all else found

    def function(self, keys: tuple[ir.Segment, ...]) -> str:
        """The source of the function: places of the next tokens and of kept keys -> a mask.

        Of keys of several segments it takes a tuple.
        """
        return "\n".join(self._function(keys)) + "\n"

    def keeping(self, name: str, living: Alive) -> str:
        """The source of the function that says which tokens a token from t on may see."""
        text = f"Which tokens k of {self.segment.name} any from t on may see in {self.of}."
        condition = "" if living.none else living.source()
        joined = f"({condition})" if "|" in condition or "&" not in condition else condition
        kept = "(k < 0) & (t < 0)" if living.none else f"(k >= 0) & {joined}"
        return f'def {name}(k: Tensor, t: Tensor) -> Tensor:\n    """{text}"""\n    return {kept}\n'

    def _function(self, keys: tuple[ir.Segment, ...]) -> Iterator[str]:
        places = f"{_places(keys[0])}: Tensor" if len(keys) == 1 else "places: tuple[Tensor, ...]"
        heads = "1" if len(self.groups) == 1 else "H"
        yield f"def {self.name}(at_bc: Tensor, {places}) -> Tensor:"
        yield f'    """Which keys the next tokens see in {self.of}: bool [B, {heads}, C, S].'
        yield ""
        for group in self.groups:
            which = "" if len(self.groups) == 1 else f" ({group.heads} heads)"
            for key in keys:
                text = unparse(_mask(group, self.segment, key))
                shown = f"{self.segment.name} sees {key.name}{which}: {text}"
                yield from textwrap.wrap(
                    shown, 96, initial_indent="    ", subsequent_indent="        "
                )
        yield '    """'
        if len(keys) > 1:
            yield f"    {', '.join(map(_places, keys))} = places"
        yield "    q = at_bc[:, :, None]"
        names = [
            "seen" if len(self.groups) == 1 else f"seen_{n}" for n in range(1, len(self.groups) + 1)
        ]
        for key in keys:
            yield f"    k = {_places(key)}[:, None]"
            for name, group in zip(names, self.groups, strict=True):
                own = f"{name}_{key.name}" if len(keys) > 1 else name
                yield f"    {own}_bcs = {self._condition(group, key)}"
        if len(keys) > 1:
            for name in names:
                joined = ", ".join(f"{name}_{key.name}_bcs" for key in keys)
                yield f"    {name}_bcs = torch.cat(({joined}), dim=2)"
        if len(names) == 1:
            yield f"    return {names[0]}_bcs[:, None]"
            return
        every = ", ".join(f"{name}_bcs" for name in names)
        counts = ", ".join(str(group.heads) for group in self.groups)
        yield f"    return by_head(({every}), ({counts}))"

    def _condition(self, group: ir.Group, key: ir.Segment) -> str:
        """Whether a key that is there is seen, of tensors q [B, C, 1] and k [B, 1, S]."""
        mask = _mask(group, self.segment, key)
        if is_closed(mask):
            formula = meaning(mask, self.segment.geometry, _flat(key))
            if formula in (ALWAYS, NEVER):
                return "(q >= 0) & (k >= 0)" if formula == ALWAYS else "(q < 0) & (k < 0)"
            text = as_source(both(formula))
            joined = text if re.match(r"\(", text) and " | " not in text else f"({text})"
        else:
            text = joined = f"({_tabled(mask, self.segment, key)})"
        spread = "" if re.search(r"\bq\b", text) else " & (q >= 0)"
        return f"(k >= 0) & {joined}{spread}"


def _flat(key: ir.Segment) -> Geometry:
    """Where keys stand for masks between a line and anything: by their index."""
    return key.geometry if len(key.geometry.axes) == 1 else line("n")


def _places(segment: ir.Segment) -> str:
    return f"{segment.name}_bs"


def _tabled(mask: Mask, query: ir.Segment, key: ir.Segment) -> str:
    """A mask with drawn blocks."""

    def of_pattern(pattern: Pattern) -> str:
        if pattern.facts.is_drawn:
            return f"drawn_blocks(q, k, {drawn(pattern, key)})"
        formula = meaning(pattern, query.geometry, _flat(key))
        if formula in (ALWAYS, NEVER):
            return "q + k >= -1" if formula == ALWAYS else "q + k < -1"
        return as_source(formula)

    return combined(mask, of_pattern)
