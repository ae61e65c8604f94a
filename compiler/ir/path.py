"""Paths: what tokens, or pixels, go through, step by step; a path is a tuple of steps.

A step is a record of its sizes, and says what others ask of it: features and places before and
after it, the module that it has in the path, and what each token that it gives is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from mmspec.compiler.ir.norm import Norm
from mmspec.expressions.mask import Mask, parse


@dataclass(frozen=True, slots=True)
class Step:
    """What every step says; a new one overrides what is otherwise with it."""

    on_grid: ClassVar[bool] = False
    """Whether it reads a square of a grid [B, rows, columns, features]."""
    module: str
    """Its attribute in the path; "": it has no weights."""
    inputs: int
    """Features before it."""
    turned: bool
    """Whether features stand otherwise than before: before rows and columns, or after them."""

    @property
    def outputs(self) -> int:
        """Features after it."""
        return self.inputs

    @property
    def apart(self) -> int:
        """Rows, or columns, of what it reads from a token that it gives to the next."""
        return 1

    @property
    def beside(self) -> tuple[int, int]:
        """Rows before and after that of its own place which a token is made of."""
        return 0, 0

    def side(self, length: int) -> int:
        """Rows, or columns, after it."""
        return length


@dataclass(frozen=True, slots=True)
class LinearStep(Step):
    """A map of the features of each token."""

    features: int
    bias: bool

    @property
    def outputs(self) -> int:
        """As it says."""
        return self.features


@dataclass(frozen=True, slots=True)
class NormStep(Step):
    """A norm of the features of each token."""

    norm: Norm


@dataclass(frozen=True, slots=True)
class BatchNormStep(Step):
    """A norm of each feature over all places of the samples of a batch."""

    on_grid = True

    eps: float
    momentum: float


@dataclass(frozen=True, slots=True)
class ActivationStep(Step):
    """Of each feature by itself."""

    activation: str


@dataclass(frozen=True, slots=True)
class GateStep(Step):
    """The first half of the features, each times the sigmoid of one of the second."""

    @property
    def outputs(self) -> int:
        """Half as many."""
        return self.inputs // 2


@dataclass(frozen=True, slots=True)
class _NearStep(Step):
    """A step that reads a square of so many rows, or a run, for each token that it gives."""

    on_grid = True

    kernel: int
    stride: int
    pad: int

    @property
    def apart(self) -> int:
        """Its stride."""
        return self.stride

    @property
    def reach(self) -> int:
        """Rows from the first of a square to the last."""
        return self.kernel - 1

    @property
    def beside(self) -> tuple[int, int]:
        """As many before as are added."""
        return self.pad, self.reach - self.pad

    def side(self, length: int) -> int:
        """How many squares there are."""
        return (length + 2 * self.pad - self.reach - 1) // self.stride + 1


@dataclass(frozen=True, slots=True)
class ConvolutionStep(_NearStep):
    """A linear map of the features in a square."""

    features: int
    groups: int
    dilation: int
    bias: bool
    axes: int
    """2: it reads squares of a grid; 1: runs of a line."""
    hidden: int
    """What steps before it made of frames past a sample's length is put to 0 first: of every so
    many frames; 0: nothing."""

    @property
    def reach(self) -> int:
        """Further where it is dilated."""
        return (self.kernel - 1) * self.dilation

    @property
    def outputs(self) -> int:
        """As it says."""
        return self.features


@dataclass(frozen=True, slots=True)
class PoolingStep(_NearStep):
    """The mean, or the largest, of each feature in a square, of what is there."""

    largest: bool

    @property
    def whole(self) -> bool:
        """Whether all of a square is always there."""
        return self.pad == 0


Path = tuple[Step, ...]


def first_module(path: Path) -> str:
    """The first module of it that has weights."""
    return next((step.module for step in path if step.module), "")


def grids(path: Path, rows: int, columns: int) -> Iterator[tuple[Step, int, int]]:
    """Each step with the rows and columns that come out of it."""
    for step in path:
        rows, columns = step.side(rows), step.side(columns)
        yield step, rows, columns


def reads(path: Path) -> Mask | None:
    """Of whose squares of pixels a token is made, as whom it sees in the grid; None: of its own."""
    radius = max(_beside(path))
    return parse(f"window2d(radius={radius})") if radius else None


def reads_line(path: Path) -> Mask | None:
    """Of whose frames a token is made, as whom it sees on the line; None: of its own."""
    before, after = _beside(path)
    return parse(f"window(before={before}, after={after})") if before or after else None


def _beside(path: Path) -> tuple[int, int]:
    """How many tokens before and after it a token shares what goes in with.

    Tokens stand `stride` pixels, or frames, apart, and what is its own begins with what it would
    read without padding.
    """
    apart, before, after = 1, 0, 0
    for step in path:
        ahead, behind = step.beside
        before, after, apart = before + ahead * apart, after + behind * apart, apart * step.apart
    beyond = after - (apart - 1)
    return max(-(-before // apart), 0), max(-(-beyond // apart), 0)
