"""How the tokens of a stream become one: a word, the name of a lead token, or a token by its id."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from mmspec.schema.names import check_variant_name

POOLS: Final = ("mean", "first", "last")
"""Of all tokens of a stream, those aside that lead a modality's."""
_MARKED: Final = re.compile(r"marked\(\s*([0-9]{1,9})\s*\)")


def _pool(value: str) -> str:
    """The word, in one way of writing it; raises ValueError."""
    if (found := mark(value)) is not None:
        return f"marked({found})"
    if value.partition("(")[0].strip() == "marked":
        raise ValueError("marked takes the id of a token; write `marked(49407)`")
    return check_variant_name(value)


def mark(pool: str) -> int | None:
    """The id of the token that is taken; None: it is not taken by its id."""
    found = _MARKED.fullmatch(pool.strip())
    return None if found is None else int(found[1])


def is_lead(pool: str) -> bool:
    """Whether a token is taken that leads a modality's."""
    return pool not in POOLS and mark(pool) is None


_Examples: Any = [*POOLS, "cls", "marked(2)"]
Pool = Annotated[str, AfterValidator(_pool), Field(examples=_Examples)]
"""`mean`, `first`, `last`, `marked(ID)`, or the name of a token that leads a modality's."""
