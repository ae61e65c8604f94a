"""The patterns of the mask language: what arguments each takes, and what is true of it anywhere.

Who asks what kind of pattern it has to do with asks here, and not for a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["AXES", "PATTERNS", "Facts", "Parameter", "usage"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument a pattern takes: its kind, smallest value, and default if it has one."""

    name: str
    kind: Literal["size", "duration", "axis"] = "size"
    least: int = 1
    default: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a pattern, whatever its arguments and wherever it stands.

    by: what it goes by. Of `order` it takes a grid for a line; of `grid`, axes; documents come with
    a batch, and draws are made.
    looks_at: neither token, the key alone, each of the two by itself, or one beside the other.
    moves: whether it shows the same when query and key move on by as many tokens.
    """

    parameters: tuple[Parameter, ...]
    by: Literal["nothing", "order", "grid", "clock", "documents", "draws"]
    looks_at: Literal["neither", "key", "each", "both"]
    moves: bool

    @property
    def is_formula(self) -> bool:
        """Whether integers decide it; else it comes by a table."""
        return self.by not in ("documents", "draws")

    @property
    def is_packed(self) -> bool:
        """Whether it asks for the documents of tokens."""
        return self.by == "documents"

    @property
    def is_drawn(self) -> bool:
        """Whether it draws blocks of keys: so many `blocks`, by a `seed`."""
        return self.by == "draws"

    @property
    def of_distance(self) -> bool:
        """Whether it depends on nothing but how many tokens lie between query and key."""
        return self.moves and self.by in ("nothing", "order")


_STEP: Final = Parameter("step")
_SIZE: Final = Parameter("size")
_RADIUS: Final = Parameter("radius")
_ENDS: Final = tuple(Parameter(name, least=0, default=0) for name in ("before", "after"))

PATTERNS: Final[dict[str, Facts]] = {
    "full": Facts((), "nothing", "neither", True),
    "none": Facts((), "nothing", "neither", True),
    "causal": Facts((), "order", "both", True),
    "window": Facts(_ENDS, "order", "both", True),
    "dilated": Facts((_STEP, Parameter("reach")), "order", "both", True),
    "block": Facts((_SIZE,), "order", "both", False),
    "global": Facts((Parameter("count"),), "order", "each", False),
    "strided": Facts((_STEP,), "order", "both", True),
    "prefix": Facts((Parameter("length"),), "order", "key", False),
    "random": Facts(
        (Parameter("blocks"), Parameter("seed", least=0, default=0)), "draws", "each", False
    ),
    "window2d": Facts((_RADIUS,), "grid", "both", False),
    "window3d": Facts((_RADIUS,), "grid", "both", False),
    "shifted_window": Facts((_SIZE, Parameter("shift", least=0)), "grid", "both", False),
    "axial": Facts((Parameter("axis", kind="axis"),), "grid", "both", False),
    "frame": Facts((), "grid", "both", False),
    "within": Facts((Parameter("duration", kind="duration"),), "clock", "both", True),
    "document": Facts((), "documents", "both", True),
}
"""By name, in the order in which they are told. Where there is no grid, `shifted_window` goes by
the order of tokens."""

AXES: Final = ("row", "column", "frame")
_EXAMPLES: Final = {"axis": "row", "duration": "500 ms", "size": "8"}


def usage(name: str) -> str:
    """An example of a pattern with every argument by name."""
    given = ", ".join(f"{p.name}={_EXAMPLES[p.kind]}" for p in PATTERNS[name].parameters)
    return f"{name}({given})" if given else name
