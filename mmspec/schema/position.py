"""Where the tokens of a modality are told that they stand."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Generic, Literal

from pydantic import Field

from mmspec.schema import choice
from mmspec.schema.base import Kind, Model

Offset = Annotated[int, Field(ge=0, lt=2**20)]


class Placing(Model, Generic[Kind]):
    """What a reader may know of a position without its kind."""

    kind: Kind
    divisor: ClassVar[int] = 1
    """What the width is a multiple of."""


class NoPosition(Placing[Literal["none"]]):
    """Nothing is told."""

    kind: Literal["none"] = "none"


class Learned(Placing[Literal["learned"]]):
    """A learned vector for each place; the first `offset` rows of the table are nobody's."""

    offset: Offset = 0
    """Rows at the front of the table that are no place."""


class Sincos(Placing[Literal["sincos"]]):
    """Sines and cosines of the place (Vaswani et al. 2017).

    Side by side, or not interleaved: all sines, then all cosines. endpoint: the last rate is
    1/10000, not the one before it.
    """

    divisor = 2

    offset: Offset = 0
    """The place of the first token."""
    interleaved: bool = True
    """Sines and cosines side by side; else all sines first."""
    endpoint: bool = False
    """Whether the last rate is 1/10000; else the one before it."""


class Sincos2d(Placing[Literal["sincos-2d"]]):
    """Those of the row, and those of the column."""

    divisor = 4


class RotaryPosition(Placing[Literal["rotary"]]):
    """Told to attention, which turns queries and keys."""


KINDS: Final[dict[str, Any]] = choice.by_name(NoPosition, Learned, Sincos, Sincos2d, RotaryPosition)
"""Every position by its name."""

Position = Annotated[
    Annotated[
        NoPosition | Learned | Sincos | Sincos2d | RotaryPosition, Field(discriminator="kind")
    ],
    choice.reader("position", KINDS),
]
NONE: Final = NoPosition.model_construct()
