"""How the tokens of a stream become one: a word, lead tokens by name, or a token by its id."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from mmspec.schema.names import check_variant_name

POOLS: Final = ("mean", "first", "last")
"""Of all tokens of a stream, those aside that lead a modality's."""
_MEAN: Final = re.compile(r"mean\(([^()]*)\)")
_MARKED: Final = re.compile(r"marked\(\s*([0-9]{1,9})\s*\)")


def _pool(value: str) -> str:
    """The word, in one way of writing it; raises ValueError."""
    if (found := mark(value)) is not None:
        return f"marked({found})"
    if value.partition("(")[0].strip() == "marked":
        raise ValueError("marked takes the id of a token; write `marked(49407)`")
    if (of := _MEAN.fullmatch(value.strip())) is None:
        return check_variant_name(value)
    names = [check_variant_name(name.strip()) for name in of[1].split(",")]
    if len({*names}) < len(names):
        raise ValueError(f"`{value}` names a token twice")
    return f"mean({', '.join(names)})"


def mark(pool: str) -> int | None:
    """The id of the token that is taken; None: it is not taken by its id."""
    found = _MARKED.fullmatch(pool.strip())
    return None if found is None else int(found[1])


def leads(pool: str) -> tuple[str, ...]:
    """The names of the tokens leading a modality's that are read; none: it reads others."""
    if pool in POOLS or mark(pool) is not None:
        return ()
    of = _MEAN.fullmatch(pool)
    return (pool,) if of is None else tuple(of[1].split(", "))


def is_mean(pool: str) -> bool:
    """Whether it is the mean of what it reads."""
    return pool == "mean" or _MEAN.fullmatch(pool) is not None


_Examples: Any = [*POOLS, "cls", "mean(cls, distillation)", "marked(2)"]
Pool = Annotated[str, AfterValidator(_pool), Field(examples=_Examples)]
"""A word, `marked(ID)`, the name of a token that leads a modality's, or the mean of some."""
