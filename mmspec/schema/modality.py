"""Modalities: what kinds of input there are, how they are cut into tokens and positioned."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Annotated, Any, Final, Generic, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmspec.diagnostics import Diagnostic, shortened
from mmspec.expressions import quantity
from mmspec.expressions.scanner import write
from mmspec.schema.base import Kind, Model, Refused, Size, nearest_divisor, parsed
from mmspec.schema.common import Common
from mmspec.schema.names import Name
from mmspec.schema.ngrams import OfBytes


def _rate(value: Any) -> Any:
    """Parse `100 Hz` into an exact Fraction of hertz."""
    if isinstance(value, Fraction):
        return value
    if not isinstance(value, str):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        example = f"{value} Hz" if number else "100 Hz"
        raise ValueError(f"a rate is a number with its unit; write `{example}`")
    return parsed(quantity.parse_rate, value)


_Written = Annotated[str, Field(pattern=r"Hz\s*$", examples=["100 Hz", "16 kHz"])]
Rate = Annotated[Fraction, BeforeValidator(_rate, json_schema_input_type=_Written)]


class Length(Model):
    """Bounds of a sequence's length, in raw units (tokens or frames)."""

    max: Size
    """The most tokens or frames of a sample."""


_TIMES: Final = "\N{MULTIPLICATION SIGN}"


def _product(*sizes: int) -> str:
    return _TIMES.join(map(str, sizes))


class Tokens(OfBytes, Common[Literal["tokens"]]):
    """Integer tokens [B, T]."""

    packs = True

    length: Length
    """How long a sample may be."""

    @property
    def ids(self) -> int:
        """Its vocabulary."""
        return self.vocab

    def unit(self, name: str) -> str:
        """Tokens."""
        return "tokens"

    @property
    def caption(self) -> tuple[str, ...]:
        """`tokens ≤ 48`, `vocabulary 256`."""
        return f"tokens ≤ {self.length.max}", f"vocabulary {self.vocab:,}"

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return self.length.max


class _Patched(Common[Kind], Generic[Kind]):
    """Pixels, cut into square patches, row-major."""

    size: tuple[Size, Size]
    """Height and width in pixels."""
    channels: Size = 3
    """Numbers a pixel."""
    patch: Size
    """The side of the squares that become tokens."""

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

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """Rows and columns."""
        rows, columns = self.grid
        return ("row", rows), ("column", columns)


class Image(_Patched[Literal["image"]]):
    """Pixels [B, C, H, W], cut into square patches, row-major."""

    varies = False

    def shape(self, length: int) -> tuple[int, ...]:
        """Channels, height and width, whatever the length."""
        return self.channels, *self.size

    def unit(self, name: str) -> str:
        """Rows of so many columns."""
        return f"{self.grid[1]} columns"

    @property
    def caption(self) -> tuple[str, ...]:
        """`image 32x32x3`, `8x8 patches of 4`."""
        size = f"image {_product(*self.size, self.channels)}"
        return size, f"{_product(*self.grid)} patches of {self.patch}"

    @property
    def max_tokens(self) -> int:
        """Tokens of every sample."""
        return self.grid[0] * self.grid[1]


class Video(_Patched[Literal["video"]]):
    """Frames of pixels [B, F, C, H, W] at a fixed rate, cut into patches `tubelet` frames deep."""

    tubelet: Size = 1
    """Frames that a token is deep."""
    rate: Rate
    """Frames a second."""
    length: Length
    """How many frames a sample may have."""

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """Tubelets, rows and columns."""
        return ("frame", -(-self.length.max // self.tubelet)), *super().axes

    @property
    def area(self) -> int:
        """Tokens of one tubelet: patches of a frame."""
        return self.grid[0] * self.grid[1]

    @property
    def step(self) -> int:
        """The frames of a tubelet."""
        return self.tubelet

    @property
    def period(self) -> Fraction:
        """Of a tubelet."""
        return self.tubelet / self.rate

    def shape(self, length: int) -> tuple[int, ...]:
        """Frames of channels, height and width."""
        return length, self.channels, *self.size

    def unit(self, name: str) -> str:
        """Frames of so many rows and columns."""
        rows, columns = self.grid
        return f"frames of {rows} x {columns}"

    @property
    def caption(self) -> tuple[str, ...]:
        """`video ≤ 16 x 32x32x3, 25 Hz`, `8x8 patches of 4, 2 deep`."""
        size = _product(*self.size, self.channels)
        deep = f", {self.tubelet} deep" if self.tubelet > 1 else ""
        frames = f"video ≤ {self.length.max} {_TIMES} {size}, {write(self.rate)} Hz"
        return frames, f"{_product(*self.grid)} patches of {self.patch}{deep}"

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return -(-self.length.max // self.tubelet) * self.area


class Frames(Common[Literal["audio", "series"]]):
    """Frames of features [B, F, features] at a fixed rate; `patch` frames make a token."""

    packs = True

    features: Size
    """Numbers a frame."""
    rate: Rate
    """Frames a second."""
    length: Length
    """How many frames a sample may have."""
    patch: Size = 1
    """Frames that make a token."""

    @property
    def of_sound(self) -> bool:
        """Where it is audio."""
        return self.kind == "audio"

    @property
    def step(self) -> int:
        """The frames of a token."""
        return self.patch

    @property
    def period(self) -> Fraction:
        """Of a token."""
        return self.patch / self.rate

    def shape(self, length: int) -> tuple[int, ...]:
        """Frames of features."""
        return length, self.features

    def unit(self, name: str) -> str:
        """Its period."""
        return f"{self.period} s"

    @property
    def caption(self) -> tuple[str, ...]:
        """`audio ≤ 200 x 40`, `100 Hz, 4 a token`."""
        frames = f"{self.kind} ≤ {self.length.max} {_TIMES} {self.features}"
        patched = f", {self.patch} a token" if self.patch > 1 else ""
        return frames, f"{write(self.rate)} Hz{patched}"

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return -(-self.length.max // self.patch)


class Categories(Model):
    """A table column of category codes 0..categories-1."""

    categories: Size
    """Codes of the column, from 0."""


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


class Table(Common[Literal["table"]]):
    """One row of numbers and category codes [B, columns]; one token a column."""

    varies = False
    ordered = False

    columns: dict[Name, Column] = Field(min_length=1)
    """`number` or {categories: N}, by column."""

    @property
    def codes(self) -> tuple[int, ...]:
        """Of each column, in order."""
        columns = self.columns.values()
        return tuple(c.categories if isinstance(c, Categories) else 0 for c in columns)

    @property
    def cells(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(self.columns)

    def shape(self, length: int) -> tuple[int, ...]:
        """A value a column, whatever the length."""
        return (len(self.columns),)

    def unit(self, name: str) -> str:
        """Columns of its own."""
        return f"table {name}"

    @property
    def caption(self) -> tuple[str, ...]:
        """`table, 3 columns`."""
        many = "s" * (len(self.columns) != 1)
        return (f"table, {len(self.columns):,} column{many}",)

    @property
    def max_tokens(self) -> int:
        """Tokens of every sample."""
        return len(self.columns)


Modality = Annotated[Tokens | Image | Video | Frames | Table, Field(discriminator="kind")]

Varying = Tokens | Video | Frames
"""Modalities whose samples have lengths."""
