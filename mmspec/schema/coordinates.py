"""What the tokens of a segment have for a mask to speak of: an order, rows and columns, times."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mmspec.expressions.mask import Pattern
from mmspec.schema.modality import Modality


@dataclass(frozen=True, slots=True)
class Coordinates:
    """What a token has besides its place in the segment: `grid` axes by size, `period` seconds."""

    unit: str
    """What the index counts: segments of one unit compare their indices."""
    grid: tuple[tuple[str, int], ...] = ()
    period: Fraction | None = None
    packs: bool = False
    """Whether a sample may hold several documents one after another."""

    @property
    def axes(self) -> frozenset[str]:
        """The names of its axes."""
        return frozenset(name for name, _ in self.grid)


def coordinates(name: str, modality: Modality | None) -> Coordinates:
    """Of a segment; `modality` None: latents."""
    if modality is None:
        return Coordinates(f"latents {name}")
    return Coordinates(modality.unit(name), modality.axes, modality.period, modality.packs)


def fits_anywhere(pattern: Pattern) -> bool:
    """Whether it asks nothing of the two segments."""
    return pattern.facts.looks_at != "both"


def misfit(pattern: Pattern, query: Coordinates, key: Coordinates) -> tuple[str, str] | None:
    """Why a pattern means nothing between two segments, and what to write; None: it means much."""
    if fits_anywhere(pattern):
        return None
    if pattern.facts.by == "clock":
        if query.period is not None and key.period is not None:
            return None
        return "compares times, and a segment here has no rate", "write a mask without times"
    if pattern.facts.is_packed:
        if query.packs and key.packs:
            return None
        return "joins packed samples, and a segment here cannot be packed", "packed: tokens, frames"
    wanted = _axes(pattern, query, key)
    missing = sorted(wanted - (query.axes & key.axes))
    if missing:
        return (
            f"needs {' and '.join(missing)}, which these segments do not both have",
            "window, dilated, strided and block speak of the order of tokens",
        )
    if not wanted and query.unit != key.unit:
        advice = "write masks by pair, such as {text -> text: causal, text -> image: full}"
        if query.period is not None and key.period is not None:
            advice = "compare times: within(500 ms)"
        return "compares positions, and these segments have no common axis", advice
    return None


def _axes(pattern: Pattern, query: Coordinates, key: Coordinates) -> frozenset[str]:
    """The axes that both segments must have."""
    on_lines = not query.grid and not key.grid
    return frozenset() if on_lines and pattern.facts.in_line else pattern.axes
