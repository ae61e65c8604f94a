"""The patterns of the mask language: what arguments each takes, and what is true of it anywhere.

Who asks what kind of pattern it has to do with asks here, and not for a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

__all__ = ["AXES", "FREE", "PATTERNS", "SAME", "Facts", "Parameter", "Rule", "usage"]

Given = Mapping[str, int | Fraction | str]
"""Arguments by name."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument a pattern takes: its kind, smallest value, and default if it has one."""

    name: str
    kind: Literal["size", "duration", "axis"] = "size"
    least: int = 1
    default: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which coordinates q and k along one axis may see each other.

    -after <= q - k <= before (None: as far as there are any), `step` divides q - k, and both lie in
    one part of `size`, of which one begins at `begin`.
    """

    before: int | None = None
    after: int | None = None
    step: int | None = None
    size: int | None = None
    begin: int = 0

    @property
    def reach(self) -> int | None:
        """How far apart they are at most; None: as far as can be."""
        if self.size is not None:
            return self.size - 1
        return None if self.before is None or self.after is None else max(self.before, self.after)


FREE: Final = Rule()
SAME: Final = Rule(size=1)


def _nothing(given: Given, axis: str) -> Rule:
    return FREE


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a pattern, whatever its arguments and wherever it stands.

    by: what it goes by. Of `order` it takes a grid for a line; of `grid`, axes; documents come with
    a batch, and draws are made.
    looks_at: neither token, the key alone, each of the two by itself, or one beside the other.
    moves: whether it shows the same when query and key move on by as many tokens.
    along: what it asks along an axis (`token` of a line). No pair that it shows breaks the rule of
    any; where it goes by `order` or `grid`, and by no first tokens, it shows all that keep them.
    first: parameters that say how many of the first queries see all, and how many of the first
    keys all see.
    axes: those that both segments must have; `in_line`: or none at all, the order of tokens then.
    """

    parameters: tuple[Parameter, ...]
    by: Literal["nothing", "order", "grid", "clock", "documents", "draws"]
    looks_at: Literal["neither", "key", "each", "both"]
    moves: bool
    along: Callable[[Given, str], Rule] = _nothing
    first: tuple[str, str] | None = None
    axes: frozenset[str] = frozenset()
    in_line: bool = False

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

    @property
    def is_by_order(self) -> bool:
        """Whether the order of tokens decides it, on a line."""
        return self.in_line or self.by in ("nothing", "order")


def _whole(given: Given, name: str) -> int:
    value = given[name]
    assert isinstance(value, int), name
    return value


def _window(given: Given, axis: str) -> Rule:
    return Rule(before=_whole(given, "before"), after=_whole(given, "after"))


def _dilated(given: Given, axis: str) -> Rule:
    reach = _whole(given, "reach")
    return Rule(before=reach, after=reach, step=_whole(given, "step"))


def _window2d(given: Given, axis: str) -> Rule:
    return SAME if axis == "frame" else _window3d(given, axis)


def _window3d(given: Given, axis: str) -> Rule:
    radius = _whole(given, "radius")
    return Rule(before=radius, after=radius)


def _shifted_window(given: Given, axis: str) -> Rule:
    size = _whole(given, "size")
    return SAME if axis == "frame" else Rule(size=size, begin=_whole(given, "shift") % size)


def _axial(given: Given, axis: str) -> Rule:
    return FREE if axis == given["axis"] else SAME


_STEP: Final = Parameter("step")
_SIZE: Final = Parameter("size")
_RADIUS: Final = Parameter("radius")
_ENDS: Final = tuple(Parameter(name, least=0, default=0) for name in ("before", "after"))

_PLANE: Final = frozenset({"row", "column"})

PATTERNS: Final[dict[str, Facts]] = {
    "full": Facts((), "nothing", "neither", True),
    "none": Facts((), "nothing", "neither", True),
    "causal": Facts((), "order", "both", True, lambda given, axis: Rule(after=0)),
    "window": Facts(_ENDS, "order", "both", True, _window),
    "dilated": Facts((_STEP, Parameter("reach")), "order", "both", True, _dilated),
    "block": Facts(
        (_SIZE,), "order", "both", False, lambda given, axis: Rule(size=_whole(given, "size"))
    ),
    "global": Facts((Parameter("count"),), "order", "each", False, first=("count", "count")),
    "strided": Facts(
        (_STEP,), "order", "both", True, lambda given, axis: Rule(step=_whole(given, "step"))
    ),
    "prefix": Facts((Parameter("length"),), "order", "key", False, first=("", "length")),
    "random": Facts(
        (Parameter("blocks"), Parameter("seed", least=0, default=0)), "draws", "each", False
    ),
    "window2d": Facts((_RADIUS,), "grid", "both", False, _window2d, axes=_PLANE),
    "window3d": Facts((_RADIUS,), "grid", "both", False, _window3d, axes=_PLANE | {"frame"}),
    "shifted_window": Facts(
        (_SIZE, Parameter("shift", least=0)),
        "grid",
        "both",
        False,
        _shifted_window,
        axes=_PLANE,
        in_line=True,
    ),
    "axial": Facts((Parameter("axis", kind="axis"),), "grid", "both", False, _axial),
    "frame": Facts(
        (),
        "grid",
        "both",
        False,
        lambda given, axis: SAME if axis == "frame" else FREE,
        axes=frozenset({"frame"}),
    ),
    "within": Facts((Parameter("duration", kind="duration"),), "clock", "both", True),
    "document": Facts((), "documents", "both", True),
}
"""By name, in the order in which they are told."""

AXES: Final = ("row", "column", "frame")
_EXAMPLES: Final = {"axis": "row", "duration": "500 ms", "size": "8"}


def usage(name: str) -> str:
    """An example of a pattern with every argument by name."""
    given = ", ".join(f"{p.name}={_EXAMPLES[p.kind]}" for p in PATTERNS[name].parameters)
    return f"{name}({given})" if given else name
