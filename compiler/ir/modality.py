"""Kinds of raw values, and how they become tokens.

A kind of raw values is a record of its sizes, and says what others ask of it: its part, which
argument takes it, what is looked at before, how lengths become tokens, what a token is made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import EllipsisType
from typing import ClassVar

from mmspec.compiler.ir.ngrams import Ngrams
from mmspec.compiler.ir.path import Path, first_module, grids, reads, reads_line
from mmspec.expressions.mask import Mask

Index = tuple[slice | EllipsisType, ...]
"""Which of the raw values [B, ...] of a modality."""


@dataclass(frozen=True, slots=True)
class Kind(ABC):
    """What every kind of raw values says; a new one overrides what is otherwise with it."""

    name: ClassVar[str]
    """As the language has it."""
    part: ClassVar[str]
    """Its class in `compiler/parts/modality.py`."""
    argument: ClassVar[str]
    """The parameter of the part's `forward` that takes the raw values."""
    dtype: ClassVar[str] = "float32"
    typed: ClassVar[bool] = True
    """Whether raw values must be of the weights' dtype."""
    check: ClassVar[str] = "expect_numbers"
    """What looks at raw values, in `compiler/parts/inputs.py`."""
    foreign: ClassVar[str | None] = None
    """What transformers calls raw values of this kind, if it has a word for them."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int | str, ...]:
        """Of the raw values: ints and "B", "T" (tokens), "F" (frames)."""

    @property
    @abstractmethod
    def admits(self) -> str:
        """What the check is told of them, as its argument."""

    def held(self, token: int) -> Index:
        """The raw values of a token."""
        return slice(None), slice(token, token + 1)

    @property
    def step(self) -> int:
        """Frames (or tokens) that make one step of tokens."""
        return 1

    @property
    def area(self) -> int:
        """Tokens of a step."""
        return 1

    @property
    def counter(self) -> tuple[str, tuple[int, ...]] | None:
        """What makes tokens of lengths, and its sizes; None: a length is one of tokens."""
        return ("patches", (self.step,)) if self.step > 1 else None

    @property
    def reads(self) -> Mask | None:
        """Whose raw values a token is made of, as whom it sees; None: of its own alone."""
        return None

    def codes(self, token: int) -> int:
        """How many codes the raw values of a token are of; 0: they are numbers."""
        return 0

    def place(self, token: int, name: str) -> str:
        """A token of the modality `name`, in words."""
        return f"token {token} of {name}"


@dataclass(frozen=True, slots=True)
class Ids(Kind):
    """Integer tokens."""

    name = "tokens"
    part = "TokenEmbedding"
    argument = "ids_bt"
    dtype = "int64"
    typed = False
    check = "expect_ids"
    foreign = "input_ids"
    weight: ClassVar[str] = "table.weight"

    vocab: int
    ngrams: Ngrams | None = None

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Of the raw values."""
        return "B", "T"

    @property
    def admits(self) -> str:
        """What the check is told of them."""
        return f"vocab={self.vocab}"

    @property
    def reads(self) -> Mask | None:
        """Bytes before it too, where n-grams are of them."""
        return None if self.ngrams is None else self.ngrams.reads

    def codes(self, token: int) -> int:
        """Each is an id."""
        return self.vocab


@dataclass(frozen=True, slots=True)
class Row(Kind):
    """A row of a table: 0 for a column of numbers, the number of categories otherwise."""

    name = "table"
    part = "TableEmbedding"
    argument = "row_bc"
    typed = False
    check = "expect_row"

    columns: tuple[int, ...]

    @property
    def weight(self) -> str:
        """A parameter of its part, for dtype and device."""
        return "weight" if 0 in self.columns else "categories.weight"

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Of the raw values."""
        return "B", len(self.columns)

    @property
    def admits(self) -> str:
        """What the check is told of them."""
        return f"columns={self.columns}"

    def codes(self, token: int) -> int:
        """Those of its column."""
        return self.columns[token]

    def place(self, token: int, name: str) -> str:
        """A token is a column."""
        return f"column {token} of {name}"


@dataclass(frozen=True, slots=True)
class Numbers(Kind):
    """Raw values that a token is a linear map of."""

    mapped: ClassVar[str] = "patch"
    """The module of that map, where no stem stands for it."""

    @property
    def weight(self) -> str:
        """A parameter of its part, for dtype and device."""
        stem: Path = getattr(self, "stem", ())
        return f"stem.{first_module(stem)}.weight" if stem else f"{self.mapped}.weight"

    @property
    def admits(self) -> str:
        """Their sizes, where one is told."""
        return str(tuple(size if isinstance(size, int) else None for size in self.shape))

    @property
    @abstractmethod
    def inputs(self) -> int:
        """How many numbers make a token."""


@dataclass(frozen=True, slots=True)
class Patches(Numbers):
    """Pixels, cut into square patches."""

    channels: int
    height: int
    breadth: int
    patch: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patch, self.breadth // self.patch

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Of a picture, or of a frame."""
        return self.channels, self.height, self.breadth

    @property
    def inputs(self) -> int:
        """The pixels of a patch."""
        return self.channels * self.patch**2

    def pixels(self, place: int) -> tuple[slice, slice]:
        """Rows and columns of pixels of a patch of a frame; the last have the rest."""
        row, column = (
            slice(self.patch * index, length if index + 1 == count else self.patch * (index + 1))
            for index, count, length in zip(
                divmod(place, self.grid[1]), self.grid, self.sizes[1:], strict=True
            )
        )
        return row, column


@dataclass(frozen=True, slots=True)
class Picture(Patches):
    """Pixels of an image; with a stem, patches are the squares that its tokens stand on."""

    name = "image"
    part = "ImageEmbedding"
    foreign = "pixel_values"
    argument = "pixels_bchw"

    stem: Path = ()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches, or of what a stem leaves."""
        if not self.stem:
            return self.height // self.patch, self.breadth // self.patch
        *_, (_, rows, columns) = grids(self.stem, self.height, self.breadth)
        return rows, columns

    @property
    def reads(self) -> Mask | None:
        """Pixels beside its own too, where a stem reads them."""
        return reads(self.stem)

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Of the raw values."""
        return "B", *self.sizes

    def held(self, token: int) -> Index:
        """The raw values of a token."""
        return ..., *self.pixels(token)


@dataclass(frozen=True, slots=True)
class Clip(Patches):
    """Frames of pixels; a patch is `tubelet` frames deep."""

    name = "video"
    part = "VideoEmbedding"
    argument = "video_bfchw"

    tubelet: int

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Of the raw values."""
        return "B", "F", *self.sizes

    @property
    def step(self) -> int:
        """The frames of a tubelet."""
        return self.tubelet

    @property
    def area(self) -> int:
        """The patches of a frame."""
        return self.grid[0] * self.grid[1]

    @property
    def counter(self) -> tuple[str, tuple[int, ...]]:
        """Tubelets, each of the patches of a frame."""
        return "tubelets", (self.tubelet, self.area)

    @property
    def inputs(self) -> int:
        """The pixels of a patch, in each frame."""
        return self.tubelet * self.channels * self.patch**2

    def held(self, token: int) -> Index:
        """The raw values of a token."""
        step, place = divmod(token, self.area)
        frames = slice(step * self.tubelet, (step + 1) * self.tubelet)
        return slice(None), frames, ..., *self.pixels(place)


@dataclass(frozen=True, slots=True)
class Frames(Numbers):
    """Frames of features; `patch` of them make a token, by a stem where there is one."""

    part = "FrameEmbedding"
    argument = "frames_bfc"
    mapped = "frames"

    features: int
    patch: int
    stem: Path = ()

    @property
    def reads(self) -> Mask | None:
        """Frames beside its own too, where a stem reads them."""
        return reads_line(self.stem)

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Of the raw values."""
        return "B", "F", self.features

    @property
    def step(self) -> int:
        """The frames of a token."""
        return self.patch

    @property
    def inputs(self) -> int:
        """The features of its frames."""
        return self.features * self.patch

    def held(self, token: int) -> Index:
        """The raw values of a token."""
        return slice(None), slice(token * self.patch, (token + 1) * self.patch)


@dataclass(frozen=True, slots=True)
class Audio(Frames):
    """Frames of sound."""

    name = "audio"


@dataclass(frozen=True, slots=True)
class Series(Frames):
    """Frames of anything else."""

    name = "series"


Raw = Ids | Row | Picture | Clip | Audio | Series
