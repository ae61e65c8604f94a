"""Norms: what each token's features are divided by, and where in a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Generic, Literal

from pydantic import Discriminator, Field, Tag

from mmspec.diagnostics import Diagnostic
from mmspec.schema import choice
from mmspec.schema.base import Kind, Model, Positive, Refused, Size, nearest_divisor

Placement = Literal["pre", "post", "sandwich", "branch"]


class Normalising(Model, Generic[Kind]):
    """Keys of every norm, and what a reader may know of one without its name."""

    may_be_biased: ClassVar[bool] = True
    """Whether it has a bias in a stream that has biases."""

    kind: Kind
    eps: Positive = 1e-5
    """Added under the root."""
    placement: Placement = "pre"
    """Before a sub-layer, after the sum, before and after, or after the sub-layer."""
    offset: Literal[1] | None = None
    """1: weights are kept as what they are more than 1."""

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

    groups: Annotated[Size, Field(examples=[4])]
    """Runs of features normed by themselves."""

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


class NoNorm(Model):
    """Tokens as they are."""

    placement: ClassVar[str] = "none"

    kind: Literal["none"]


NONE: Final = NoNorm.model_construct(kind="none")

KINDS: Final[dict[str, Any]] = choice.by_name(LayerNorm, RmsNorm, GroupNorm)
"""Every norm by its name."""
_CHOICES: Final = {**KINDS, **choice.by_name(NoNorm)}

Normed = LayerNorm | RmsNorm | GroupNorm
Norm = Annotated[
    Annotated[LayerNorm | RmsNorm | GroupNorm | NoNorm, Field(discriminator="kind")],
    choice.reader("norm", _CHOICES, default="layer"),
]


def _tag(value: Any) -> str:
    is_flag = isinstance(value, int | float) or value in ("yes", "no", "on", "off")
    return "[flag]" if is_flag else "[norm]"


FinalNorm = Annotated[
    Annotated[bool, Tag("[flag]")] | Annotated[Norm, Tag("[norm]")], Discriminator(_tag)
]
"""Whether there is a norm after the last block; or which, as `inherited` makes it."""


def is_there(norm: Normed | NoNorm) -> bool:
    """Whether it is one."""
    return not isinstance(norm, NoNorm)


def misfit(norm: Normed | NoNorm, width: int) -> Refused | None:
    """Why a norm does not go with a width, at its keys; None: it does."""
    try:
        if not isinstance(norm, NoNorm):
            norm.fit(width)
    except Refused as error:
        return error
    return None


def inherited(final: Any, norm: Any) -> Any:
    """The mapping of a final norm, which is the stream's but for the keys that it gives."""
    if not isinstance(final, Mapping) or "kind" in final:
        return final
    whole = norm if isinstance(norm, Mapping) else {"kind": norm}
    if isinstance(norm, str) and "(" in norm:
        whole = choice.called("norm", _CHOICES, norm)
    return {key: value for key, value in {**whole, **final}.items() if key != "placement"}


def ends(norm: Any) -> bool:
    """Whether a stream with this norm, as it is written, has one after its last block too."""
    placement = norm.get("placement") if isinstance(norm, Mapping) else None
    kind = norm.get("kind") if isinstance(norm, Mapping) else norm
    return placement != "post" and kind != "none"
