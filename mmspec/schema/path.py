"""Paths: what tokens, or pixels, go through, step by step."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema import choice
from mmspec.schema.base import Features, Kind, Model, Positive, Refused, Size


class Step(Model, Generic[Kind]):
    """What a reader may know of a step without its kind."""

    on_grid: ClassVar[bool] = False
    """Whether it reads what stands beside a token in a grid."""

    placed: ClassVar[bool] = True
    """Whether it hangs on which axis features stand."""

    kind: Kind

    def made(self, features: int) -> int:
        """Features after it; raises Refused where it does not go with those before."""
        return features

    @property
    def apart(self) -> int:
        """Rows, or columns, of what it reads from a token that it gives to the next."""
        return 1

    def side(self, length: int) -> int:
        """Rows, or columns, after it."""
        return length


class LinearMap(Step[Literal["linear"]]):
    """A map of the features of each token."""

    features: Annotated[Features, Field(examples=[64])]
    """How many features it gives."""
    bias: bool | None = None
    """Whether it adds a number to each feature; unless told, as elsewhere in what has the path."""

    def made(self, features: int) -> int:
        """As it says."""
        return self.features


class PathNorm(Step[Literal["norm"]]):
    """A layer norm of the features of each token (Ba et al. 2016)."""

    eps: Positive = 1e-5
    """Added under the root."""


class BatchNorm(Step[Literal["batch-norm"]]):
    """By mean and variance of each feature over all places of a batch (Ioffe & Szegedy 2015)."""

    on_grid = True

    eps: Positive = 1e-5
    """Added under the root."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The share of a batch in the mean and variance that are kept for evaluation."""


class Activation(Step[Literal["relu", "gelu", "gelu-tanh", "silu", "quick-gelu", "tanh"]]):
    """Of each feature by itself."""

    placed = False


class Gate(Step[Literal["glu"]]):
    """The first half of the features, each times the sigmoid of one of the second."""

    def made(self, features: int) -> int:
        """Half as many."""
        if features % 2:
            message = f"`glu` halves the features, and there are {features}"
            raise Refused(Diagnostic("MM105", message, help="give it an even number of them"))
        return features // 2


class Square(NamedTuple):
    """The rows and columns of a grid that a token is made of, and where it stands."""

    kernel: int
    stride: int
    pad: int | None
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Rows from the first that it has to the last."""
        return (self.kernel - 1) * self.dilation

    @property
    def padding(self) -> int:
        """`pad`; else none where squares stand side by side, or what keeps all rows at stride 1."""
        if self.pad is not None:
            return self.pad
        return 0 if self.kernel == self.stride else self.reach // 2

    def side(self, length: int) -> int:
        """How many there are; 0 or less: none fits."""
        return (length + 2 * self.padding - self.reach - 1) // self.stride + 1


class _Near(Step[Kind], Generic[Kind]):
    """A step that reads a square of a grid for each token that it gives."""

    on_grid = True

    @property
    @abstractmethod
    def square(self) -> Square:
        """What it reads."""

    @property
    def apart(self) -> int:
        """Its stride."""
        return self.square.stride

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Raise Refused where no whole number of rows is half of what is to be added."""
        square = self.square
        if square.pad is None and square.kernel != square.stride and square.reach % 2:
            message = f"a {self.kind} of an even kernel, {square.kernel}, has no middle"
            advice = "choose an odd kernel, a stride as large, or say `pad`"
            raise Refused(Diagnostic("MM105", message, help=advice), "kernel")
        if square.padding >= square.kernel * square.dilation:
            message = f"`pad` {square.padding}: squares would lie beyond the edge"
            advice = f"write at most {square.reach}"
            raise Refused(Diagnostic("MM105", message, help=advice), "pad")
        return self

    def side(self, length: int) -> int:
        """How many squares there are."""
        return self.square.side(length)


Pad = Annotated[int, Field(ge=0, lt=2**31)] | None


class Convolution(_Near[Literal["convolution"]]):
    """A linear map of the features in each square."""

    features: Annotated[Features, Field(examples=[32])]
    """How many features it gives."""
    kernel: Annotated[Size, Field(examples=[3])]
    """Rows and columns of the square."""
    stride: Size = 1
    """Rows and columns from a square to the next."""
    groups: Size = 1
    """Equal runs of features that are mapped by themselves."""
    dilation: Size = 1
    """Rows and columns from one that a square reads to the next."""
    pad: Pad = None
    """Rows and columns of zeros on each side."""
    bias: bool | None = None
    """As of a linear."""

    @property
    def square(self) -> Square:
        """What it reads."""
        return Square(self.kernel, self.stride, self.pad, self.dilation)

    def made(self, features: int) -> int:
        """As it says; both sides are so many equal runs."""
        if features % self.groups or self.features % self.groups:
            sides = f"{features} and {self.features} features"
            message = f"{sides} are not both multiples of {self.groups} groups"
            raise Refused(Diagnostic("MM105", message, help="choose other groups"), "groups")
        return self.features


class Pooling(_Near[Literal["mean", "max"]]):
    """The mean, or the largest, of each feature in a square; what is added is no part of it."""

    kernel: Annotated[Size, Field(examples=[3])]
    """Rows and columns of the square."""
    stride: Size = 1
    """Rows and columns from a square to the next."""
    pad: Pad = None
    """Rows and columns on each side, of which nothing is read."""

    @property
    def square(self) -> Square:
        """What it reads."""
        return Square(self.kernel, self.stride, self.pad)

    @model_validator(mode="after")
    def _some(self) -> Self:
        """Raise Refused where a square may lie outside for the most part."""
        if self.square.padding > self.kernel // 2:
            message = f"`pad` {self.pad} is more than half of the kernel, {self.kernel}"
            advice = f"write at most {self.kernel // 2}"
            raise Refused(Diagnostic("MM105", message, help=advice), "pad")
        return self


KINDS: Final[dict[str, Any]] = choice.by_name(
    LinearMap, PathNorm, BatchNorm, Activation, Gate, Convolution, Pooling
)
"""Every step by its name."""

OneStep = Annotated[
    Annotated[
        LinearMap | PathNorm | BatchNorm | Activation | Gate | Convolution | Pooling,
        Field(discriminator="kind"),
    ],
    choice.reader("step", KINDS),
]
Path = Annotated[tuple[OneStep, ...], Field(min_length=1)]


def features(path: tuple[OneStep, ...], given: int) -> int:
    """How many features come out; raises Refused, at the step, where one does not fit."""
    for index, step in enumerate(path):
        try:
            given = step.made(given)
        except Refused as error:
            raise Refused(error.found, index, *error.keys) from None
    return given


def stride(path: tuple[OneStep, ...]) -> int:
    """Rows, or columns, of what goes in from a token that comes out to the next."""
    return prod(step.apart for step in path)


def grid(path: tuple[OneStep, ...], size: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns come out; raises Refused, at the step, where none is left."""
    rows, columns = size
    for index, step in enumerate(path):
        rows, columns = step.side(rows), step.side(columns)
        if rows < 1 or columns < 1:
            message = f"nothing is left of {size[0]} x {size[1]} after this {step.kind}"
            advice = "choose a smaller kernel or stride, or say `pad`"
            raise Refused(Diagnostic("MM105", message, help=advice), index)
    return rows, columns


def timed(path: tuple[OneStep, ...], given: int, longest: int) -> None:
    """Raise Refused, below `stem`, where a path does not make a token of every so many frames."""
    try:
        features(path, given)
        for index, step in enumerate(path):
            _even(step, index)
    except Refused as error:
        raise Refused(error.found, "stem", *error.keys) from None
    if longest % stride(path):
        message = f"{longest} frames are no whole number of tokens, {stride(path)} frames each"
        advice = f"choose a `max` that is a multiple of {stride(path)}"
        raise Refused(Diagnostic("MM105", message, help=advice), "length", "max")


def _even(step: OneStep, index: int) -> None:
    """Raise Refused where a step does not give a token for each stride that is begun."""
    if isinstance(step, Pooling):
        message, advice = f"a stem over time has no `{step.kind}` yet", "write a convolution"
        raise Refused(Diagnostic("MM105", message, help=advice), index)
    if isinstance(step, BatchNorm):
        message = "over time a `batch-norm` would make tokens of what comes after them"
        raise Refused(Diagnostic("MM105", message, help="write `norm`"), index)
    if isinstance(step, Convolution) and 2 * step.square.padding != step.square.reach:
        message = f"{step.square.padding} frames on each side do not keep the length of a sample"
        advice = "choose an odd kernel, and leave `pad` out"
        raise Refused(Diagnostic("MM105", message, help=advice), index)


def tiled(path: tuple[OneStep, ...], channels: int, size: tuple[int, int]) -> None:
    """Raise Refused, below `stem`, where a path does not make tokens that stand on pixels."""
    try:
        features(path, channels)
        rows, columns = grid(path, size)
    except Refused as error:
        raise Refused(error.found, "stem", *error.keys) from None
    side = stride(path)
    if (rows - 1) * side >= size[0] or (columns - 1) * side >= size[1]:
        message = f"of {size[0]} x {size[1]} pixels come {rows} x {columns} tokens"
        message += f", each {side} from the next: the last stand beyond the edge"
        raise Refused(Diagnostic("MM105", message, help="write a smaller `pad`"), "stem")
