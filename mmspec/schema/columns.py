"""What a number or a code is one of: columns of tables, and what is added to tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Tag

from mmspec.diagnostics import Diagnostic, shortened
from mmspec.schema.base import Ids, Model, Refused, Size


class Categories(Model):
    """Codes 0..categories-1."""

    categories: Ids
    """How many there are, from 0."""


class Numbers(Model):
    """Several numbers."""

    numbers: Size
    """How many of each token."""


def _column(value: Any) -> Any:
    """A kind of column; what is none is refused before pydantic tries each of them."""
    if isinstance(value, dict | Categories) or value == "number":
        return value
    raise _refused(value, "column", "number, or {categories: N}")


def _refused(value: Any, what: str, choices: str) -> Refused:
    shown = f"`{shortened(value)}`" if isinstance(value, str) else "this"
    return Refused(Diagnostic("MM103", f"{shown} is no kind of {what}", help=f"write {choices}"))


def _column_tag(value: Any) -> str:
    return "[number]" if isinstance(value, str) else "[categories]"


Column = Annotated[
    Annotated[Literal["number"], Tag("[number]")] | Annotated[Categories, Tag("[categories]")],
    Discriminator(_column_tag),
    BeforeValidator(_column),
]


def _added(value: Any) -> Any:
    """What may be given of each token."""
    if isinstance(value, dict | Categories | Numbers):
        return value
    raise _refused(value, "addition", "{categories: N}, or {numbers: N}")


def _added_tag(value: Any) -> str:
    has_numbers = isinstance(value, Numbers) or (isinstance(value, dict) and "numbers" in value)
    return "[numbers]" if has_numbers else "[categories]"


Added = Annotated[
    Annotated[Categories, Tag("[categories]")] | Annotated[Numbers, Tag("[numbers]")],
    Discriminator(_added_tag),
    BeforeValidator(_added),
]
"""Codes or numbers of each token, from which a vector is made that is added to it."""
