"""Modalities: what kinds of input there are, how they are cut into tokens and positioned."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmspec.diagnostics import Diagnostic, shortened
from mmspec.expressions import quantity
from mmspec.schema.base import Model, Refused, Size, nearest_divisor, parsed
from mmspec.schema.names import Name
from mmspec.schema.position import NONE, Position


def _rate(value: Any) -> Any:
    """Parse `100 Hz` into an exact Fraction of hertz."""
    if isinstance(value, Fraction):
        return value
    if not isinstance(value, str):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        example = f"{value} Hz" if number else "100 Hz"
        raise ValueError(f"a rate is a number with its unit; write `{example}`")
    return parsed(quantity.parse_rate, value)


Rate = Annotated[Fraction, BeforeValidator(_rate)]


class Length(Model):
    """Bounds of a sequence's length, in raw units (tokens or frames)."""

    max: Size


class _Common(Model):
    """Keys of every modality, and what a reader may know of one without its kind."""

    varies: ClassVar[bool] = True
    """Whether samples have lengths: else all have as many tokens."""

    position: Position = NONE
    optional: bool = False
    kind: str

    @property
    def ids(self) -> int:
        """How many ids there are, where each token is one; else 0."""
        return 0

    @property
    def of_sound(self) -> bool:
        """Whether it is made of sound."""
        return False


class Tokens(_Common):
    """Integer tokens [B, T]."""

    kind: Literal["tokens"]
    vocab: Size
    length: Length

    @property
    def ids(self) -> int:
        """Its vocabulary."""
        return self.vocab

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return self.length.max


class _Patched(_Common):
    """Pixels, cut into square patches, row-major."""

    size: tuple[Size, Size]
    channels: Size = 3
    patch: Size

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        """Raise Refused where patches do not fill rows and columns of pixels."""
        height, width = self.size
        if height % self.patch or width % self.patch:
            message = f"a patch of {self.patch} does not divide the size {height} x {width}"
            near = nearest_divisor(gcd(height, width), self.patch)
            raise Refused(Diagnostic("MM105", message, help=f"a patch of {near} does"), "patch")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches, in a frame."""
        return self.size[0] // self.patch, self.size[1] // self.patch


class Image(_Patched):
    """Pixels [B, C, H, W], cut into square patches, row-major."""

    varies = False

    kind: Literal["image"]

    @property
    def max_tokens(self) -> int:
        """Tokens of every sample."""
        return self.grid[0] * self.grid[1]


class Video(_Patched):
    """Frames of pixels [B, F, C, H, W] at a fixed rate, cut into patches `tubelet` frames deep."""

    kind: Literal["video"]
    tubelet: Size = 1
    rate: Rate
    length: Length

    @property
    def area(self) -> int:
        """Tokens of one tubelet: patches of a frame."""
        return self.grid[0] * self.grid[1]

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return -(-self.length.max // self.tubelet) * self.area


class Frames(_Common):
    """Frames of features [B, F, features] at a fixed rate; `patch` frames make a token."""

    kind: Literal["audio", "series"]
    features: Size
    rate: Rate
    length: Length
    patch: Size = 1

    @property
    def of_sound(self) -> bool:
        """Where it is audio."""
        return self.kind == "audio"

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return -(-self.length.max // self.patch)


class Categories(Model):
    """A table column of category codes 0..categories-1."""

    categories: Size


def _column(value: Any) -> Any:
    """A kind of column; what is none is refused before pydantic tries each of them."""
    if isinstance(value, dict | Categories) or value == "number":
        return value
    shown = f"`{shortened(value)}`" if isinstance(value, str) else "this"
    message = f"{shown} is no kind of column"
    raise Refused(Diagnostic("MM103", message, help="write number, or {categories: N}"))


def _column_tag(value: Any) -> str:
    return "[number]" if isinstance(value, str) else "[categories]"


Column = Annotated[
    Annotated[Literal["number"], Tag("[number]")] | Annotated[Categories, Tag("[categories]")],
    Discriminator(_column_tag),
    BeforeValidator(_column),
]


class Table(_Common):
    """One row of numbers and category codes [B, columns]; one token a column."""

    varies = False

    kind: Literal["table"]
    columns: dict[Name, Column] = Field(min_length=1)

    @property
    def max_tokens(self) -> int:
        """Tokens of every sample."""
        return len(self.columns)


Modality = Annotated[Tokens | Image | Video | Frames | Table, Field(discriminator="kind")]

Varying = Tokens | Video | Frames
"""Modalities whose samples have lengths."""
