"""N-grams of bytes: what the row of a byte is told of the bytes before it in its word."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from mmspec.diagnostics import Diagnostic, shortened
from mmspec.schema.base import Fraction01, Ids, Model, Refused

BYTES: Final = 256
_LONGEST: Final = 32
_RANGE: Final = re.compile(r"\s*(\d+)\s*\.\.\s*(\d+)\s*")
_EXAMPLE: Final = "write `sizes: 2..5`: runs of 2, 3, 4 and 5 bytes"


def _sizes(value: Any) -> Any:
    """The sizes from `2..5`, or of a number alone."""
    if isinstance(value, tuple):
        return value
    found = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        first, last = map(int, found.groups())
    elif isinstance(value, int) and not isinstance(value, bool):
        first = last = value
    else:
        message = f"`{shortened(str(value))}` says no sizes of n-grams"
        raise Refused(Diagnostic("MM104", message, help=_EXAMPLE))
    if not 2 <= first <= last <= _LONGEST:
        message = f"n-grams are of 2 to {_LONGEST} bytes, the fewest first"
        raise Refused(Diagnostic("MM105", message, help=_EXAMPLE))
    return tuple(range(first, last + 1))


_Written = (
    Annotated[int, Field(ge=2, le=_LONGEST)]
    | Annotated[str, Field(pattern=r"^\s*\d+\s*\.\.\s*\d+\s*$", examples=["2..5"])]
)
Sizes = Annotated[tuple[int, ...], BeforeValidator(_sizes, json_schema_input_type=_Written)]


class Ngrams(Model):
    """Rows of runs of bytes that end with a byte, found by a hash, beside the row of the byte."""

    sizes: Sizes = (2, 3, 4, 5)
    """How many bytes the runs are of: `2..5`."""
    words: bool = False
    """Whether there is one more run: the whole word, as far as it has come."""
    lower: bool = False
    """Whether A to Z are read as a to z."""
    buckets: Annotated[Ids, Field(examples=[4096])]
    """Rows of the table of each size."""
    dropout: Annotated[Fraction01, Field(lt=1)] = 0.0
    """With what probability training leaves out a run."""

    @property
    def runs(self) -> int:
        """How many runs end with a byte."""
        return len(self.sizes) + self.words


class OfBytes(Model):
    """Keys of tokens that are bytes of text."""

    vocab: Ids
    """How many ids there are."""
    ngrams: Ngrams | None = None
    """What the row of a byte is told of those before it."""

    @property
    def drops(self) -> float:
        """With what probability training leaves out something of a token."""
        return self.ngrams.dropout if self.ngrams else 0.0

    def dry(self) -> Self:
        """The same, of which training leaves out nothing."""
        dry = self.ngrams and self.ngrams.model_copy(update={"dropout": 0.0})
        return self.model_copy(update={"ngrams": dry})

    @property
    def of_text(self) -> bool:
        """Where runs of its bytes count."""
        return self.ngrams is not None

    @model_validator(mode="after")
    def _of_bytes(self) -> Self:
        """Raise Refused where tokens are no bytes."""
        if self.ngrams is not None and self.vocab != BYTES:
            message = f"n-grams are of bytes, of which there are {BYTES}, and not {self.vocab}"
            raise Refused(Diagnostic("MM105", message, help=f"write `vocab: {BYTES}`"), "vocab")
        return self
