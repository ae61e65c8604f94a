"""What every modality says, whatever its kind."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from typing import ClassVar, Generic, Self

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema.base import Factor, Kind, Model, Refused, Size
from mmspec.schema.bias import RowBias
from mmspec.schema.columns import Added
from mmspec.schema.names import DimName, VariantName
from mmspec.schema.norm import NONE as NO_NORM
from mmspec.schema.norm import Norm
from mmspec.schema.position import NONE, Position


class Common(Model, Generic[Kind]):
    """Keys of every modality, and what a reader may know of one without its kind."""

    varies: ClassVar[bool] = True
    """Whether samples have lengths: else all have as many tokens."""
    ordered: ClassVar[bool] = True
    """Whether its tokens stand in an order."""
    position: Position = NONE
    """Where its tokens are told that they stand."""
    add: dict[DimName, Added] = Field(default_factory=dict)
    """What else is given of each token, by name: {categories: N} or {numbers: N}."""
    lead: dict[VariantName, Size] = Field(default_factory=dict)
    """Learned tokens in front of its own: how many, by name."""
    scale: Factor = 1.0
    """What its tokens are multiplied by, once they are placed."""
    norm: Norm = NO_NORM
    """Of its tokens, after all else."""
    bias: RowBias = True
    """Whether the map of its raw values has a bias, and its norm; or by role."""
    optional: bool = False
    """Whether a batch may do without it."""
    kind: Kind

    @model_validator(mode="after")
    def _no_placement(self) -> Self:
        """Raise Refused where a norm says where it stands: there is one place."""
        if "placement" in self.norm.model_fields_set:
            message = "the norm of a modality stands after its sum; it has no `placement`"
            raise Refused(Diagnostic("MM105", message, help="remove it"), "norm", "placement")
        return self

    @property
    def packs(self) -> bool:
        """Whether a sample may hold several documents one after another."""
        return False

    @property
    def made(self) -> int | None:
        """How many features its rows have by themselves; None: as many as who reads them."""
        return None

    @property
    def ids(self) -> int:
        """How many ids there are, where each token is one; else 0."""
        return 0

    @property
    def drops(self) -> float:
        """With what probability training leaves out something of a token."""
        return 0.0

    def dry(self) -> Self:
        """The same, of which training leaves out nothing."""
        return self

    @property
    def of_text(self) -> bool:
        """Whether letters and spaces differ to it."""
        return False

    @property
    def of_sound(self) -> bool:
        """Whether it is made of sound."""
        return False

    @property
    def step(self) -> int:
        """Frames (or tokens) that make one step of tokens."""
        return 1

    @property
    def side(self) -> int:
        """Rows, and columns, of pixels from a token to the next, of pixels in a grid."""
        return 1

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of patches of a step, where it has pixels."""
        return None

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """Of a grid that its tokens fill row by row, by size; none: they are a line."""
        return ()

    @property
    def period(self) -> Fraction | None:
        """Seconds from a step to the next."""
        return None

    @property
    def codes(self) -> tuple[int, ...]:
        """Of each column of a table how many codes it has, 0 where it holds numbers."""
        return ()

    @property
    def cells(self) -> tuple[str, ...]:
        """Columns of the data that it may be gathered from, by their names in a table."""
        return ()

    def shape(self, length: int) -> tuple[int, ...]:
        """Of the raw values of a sample of so many tokens or frames."""
        return (length,)

    @abstractmethod
    def unit(self, name: str) -> str:
        """What the index of a token counts; modalities of one unit compare their indices."""

    @property
    @abstractmethod
    def caption(self) -> tuple[str, ...]:
        """What is given, and how it is cut, in a few words each."""
