"""Modalities: what kinds of input there are, how they are cut into tokens and positioned."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.expressions.scanner import write
from mmspec.schema import path
from mmspec.schema.base import Refused, Size
from mmspec.schema.columns import Categories, Column
from mmspec.schema.common import Common
from mmspec.schema.measures import TIMES, Length, Patched, Rate, product
from mmspec.schema.names import Name
from mmspec.schema.ngrams import OfBytes
from mmspec.schema.path import Path


class Tokens(OfBytes, Common[Literal["tokens"]]):
    """Integer tokens [B, T]."""

    length: Length
    """How long a sample may be."""
    tied: Name | None = None
    """Another modality of tokens, whose table it reads instead of one of its own."""

    @property
    def packs(self) -> bool:
        """Always."""
        return True

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


class Image(Patched[Literal["image"]]):
    """Pixels [B, C, H, W], cut into square patches, or seen by a stem; row-major."""

    varies = False

    patch: Size | None = None
    """The side of the squares that become tokens."""
    stem: Path | None = None
    """Instead of a patch: the steps that make tokens of pixels."""

    @property
    def side(self) -> int:
        """Of a patch, or what the strides of a stem come to."""
        return path.stride(self.stem) if self.stem else self.patch or 1

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens: with a stem as many as its steps leave."""
        return path.grid(self.stem, self.size) if self.stem else super().grid

    @property
    def made(self) -> int | None:
        """What comes out of its stem."""
        return path.features(self.stem, self.channels) if self.stem else None

    @model_validator(mode="after")
    def _cut(self) -> Self:
        """Raise Refused where there is not one way to make tokens, or they do not fill the size."""
        if (self.patch is None) == (self.stem is None):
            both = "both `patch` and `stem`" if self.stem else "neither `patch` nor `stem`"
            advice = "keep one of them" if self.stem else "write `patch: 16`, say"
            raise Refused(Diagnostic("MM102", f"an image says {both}", help=advice))
        if self.patch is not None:
            self.tiled(self.patch)
        if self.stem is not None:
            path.tiled(self.stem, self.channels, self.size)
        return self

    def shape(self, length: int) -> tuple[int, ...]:
        """Channels, height and width, whatever the length."""
        return self.channels, *self.size

    def unit(self, name: str) -> str:
        """Rows of so many columns."""
        return f"{self.grid[1]} columns"

    @property
    def caption(self) -> tuple[str, ...]:
        """`image 32x32x3`, `8x8 patches of 4`."""
        size = f"image {product(*self.size, self.channels)}"
        return size, f"{product(*self.grid)} {'tokens' if self.stem else 'patches'} of {self.side}"

    @property
    def max_tokens(self) -> int:
        """Tokens of every sample."""
        return self.grid[0] * self.grid[1]


class Video(Patched[Literal["video"]]):
    """Frames of pixels [B, F, C, H, W] at a fixed rate, cut into patches `tubelet` frames deep."""

    patch: Size
    """The side of the squares that become tokens."""
    tubelet: Size = 1
    """Frames that a token is deep."""
    rate: Rate
    """Frames a second."""
    length: Length
    """How many frames a sample may have."""

    @property
    def side(self) -> int:
        """Of a patch."""
        return self.patch

    @model_validator(mode="after")
    def _cut(self) -> Self:
        """Raise Refused where patches do not fill rows and columns of pixels."""
        self.tiled(self.patch)
        return self

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
        size = product(*self.size, self.channels)
        deep = f", {self.tubelet} deep" if self.tubelet > 1 else ""
        frames = f"video ≤ {self.length.max} {TIMES} {size}, {write(self.rate)} Hz"
        return frames, f"{product(*self.grid)} patches of {self.patch}{deep}"

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return -(-self.length.max // self.tubelet) * self.area


class Frames(Common[Literal["audio", "series"]]):
    """Frames of features [B, F, features] at a fixed rate; `patch` make a token, or a stem does."""

    features: Size
    """Numbers a frame."""
    rate: Rate
    """Frames a second."""
    length: Length
    """How many frames a sample may have."""
    patch: Size = 1
    """Frames that make a token."""
    stem: Path | None = None
    """Instead of a patch: the steps that make tokens of frames."""

    @model_validator(mode="after")
    def _cut(self) -> Self:
        """Raise Refused where there are two ways to make tokens, or a stem does not go with it."""
        if self.stem is not None and "patch" in self.model_fields_set:
            message = f"a modality of {self.kind} says both `patch` and `stem`"
            raise Refused(Diagnostic("MM102", message, help="keep one of them"))
        if self.stem is not None:
            path.timed(self.stem, self.features, self.length.max)
        return self

    @property
    def packs(self) -> bool:
        """Where no token is made of frames beside its own."""
        return self.stem is None

    @property
    def made(self) -> int | None:
        """What comes out of its stem."""
        return path.features(self.stem, self.features) if self.stem else None

    @property
    def of_sound(self) -> bool:
        """Where it is audio."""
        return self.kind == "audio"

    @property
    def step(self) -> int:
        """The frames of a token."""
        return path.stride(self.stem) if self.stem else self.patch

    @property
    def period(self) -> Fraction:
        """Of a token."""
        return self.step / self.rate

    def shape(self, length: int) -> tuple[int, ...]:
        """Frames of features."""
        return length, self.features

    def unit(self, name: str) -> str:
        """Its period."""
        return f"{self.period} s"

    @property
    def caption(self) -> tuple[str, ...]:
        """`audio ≤ 200 x 40`, `100 Hz, 4 a token`."""
        frames = f"{self.kind} ≤ {self.length.max} {TIMES} {self.features}"
        patched = f", {self.step} a token" if self.step > 1 else ""
        return frames, f"{write(self.rate)} Hz{patched}"

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sample."""
        return -(-self.length.max // self.step)


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
