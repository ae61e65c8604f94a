"""What modalities are measured in: rates, lengths, and pixels in a grid of tokens."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from math import gcd
from typing import Annotated, Any, Final, Generic

from pydantic import BeforeValidator, Field

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import quantity
from mmspec.schema.base import Kind, Model, Refused, Size, nearest_divisor, parsed
from mmspec.schema.common import Common


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


TIMES: Final = "\N{MULTIPLICATION SIGN}"


def product(*sizes: int) -> str:
    """`8\N{MULTIPLICATION SIGN}8`."""
    return TIMES.join(map(str, sizes))


class Patched(Common[Kind], Generic[Kind]):
    """Pixels in a grid of tokens, row-major."""

    size: tuple[Size, Size]
    """Height and width in pixels."""
    channels: Size = 3
    """Numbers a pixel."""

    @property
    @abstractmethod
    def side(self) -> int:
        """Rows, and columns, of pixels from a token to the next."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens, in a frame."""
        return self.size[0] // self.side, self.size[1] // self.side

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """Rows and columns."""
        rows, columns = self.grid
        return ("row", rows), ("column", columns)

    def tiled(self, patch: int) -> None:
        """Raise Refused where patches do not fill rows and columns of pixels."""
        height, width = self.size
        if height % patch or width % patch:
            message = f"a patch of {patch} does not divide the size {height} x {width}"
            near = nearest_divisor(gcd(height, width), patch)
            raise Refused(Diagnostic("MM105", message, help=f"a patch of {near} does"), "patch")
