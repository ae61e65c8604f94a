"""Norms: what each token's features are divided by, and where in a block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field

from mmspec.diagnostics import Diagnostic
from mmspec.expressions import words
from mmspec.schema.base import Model, Positive, Refused, Size, nearest_divisor

Kind = TypeVar("Kind", bound=str)
_SHORT: Final = re.compile(r"\s*([\w -]+?)\s*\((?:\s*groups\s*=)?(.*)\)\s*")


class Normalising(Model, Generic[Kind]):
    """Keys of every norm, and what a reader may know of one without its name."""

    may_be_biased: ClassVar[bool] = True
    """Whether it has a bias in a stream that has biases."""

    kind: Kind
    eps: Positive = 1e-5
    placement: Literal["pre", "post"] = "pre"

    def fit(self, width: int) -> None:
        """Raise Refused where a norm does not go with a width."""


class LayerNorm(Normalising[Literal["layer"]]):
    """By mean and variance over the features (Ba et al. 2016)."""

    kind: Literal["layer"] = "layer"


class RmsNorm(Normalising[Literal["rms"]]):
    """By the root mean square of the features (Zhang & Sennrich 2019)."""

    may_be_biased = False


class GroupNorm(Normalising[Literal["group"]]):
    """By mean and variance over each of `groups` equal runs of features (Wu & He 2018)."""

    groups: Size

    def fit(self, width: int) -> None:
        """The groups are equal, and of more than one feature, of which the norm would be 0."""
        if width % self.groups == 0 and (self.groups < width or width == 1):
            return
        message = f"width {width} is not a multiple of {self.groups} groups"
        if self.groups == width:
            message = (
                f"{width} groups of one feature each: all that a norm gives of one is its bias"
            )
        fitting = nearest_divisor(width, min(self.groups, width // 2))
        advice = f"write `norm: group({fitting if fitting < width else 1})`"
        raise Refused(Diagnostic("MM105", message, help=advice), "norm", "groups")


def _as_norm(value: Any) -> Any:
    """`rms` is short for a kind, `group(4)` for one of 4 groups; `layer` need not be named."""
    if isinstance(value, str):
        short = _SHORT.fullmatch(value)
        if short and words.meant(short[1], ("group",)):
            start, end = short.span(2)
            blank = " " * start + short[2] + " " * (len(value) - end)  # columns are the value's
            number = short[2].strip()
            return {"kind": short[1], "groups": int(number) if number.isdecimal() else blank}
        if value == "group":
            message = "`norm: group` does not say how many groups"
            raise Refused(Diagnostic("MM102", message, help="write `norm: group(4)`"))
        return {"kind": value}
    others = {key for kind in KINDS.values() for key in kind.model_fields}
    others -= LayerNorm.model_fields.keys()
    if isinstance(value, Mapping) and "kind" not in value and not others & value.keys():
        return {"kind": "layer", **value}
    return value


KINDS: dict[str, type[Normalising[Any]]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind
    for kind in (LayerNorm, RmsNorm, GroupNorm)
}
"""Every norm by its name."""

Norm = Annotated[
    Annotated[LayerNorm | RmsNorm | GroupNorm, Field(discriminator="kind")],
    BeforeValidator(_as_norm),
]
