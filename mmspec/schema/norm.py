"""Norms: what each token's features are divided by, and where in a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field

from mmspec.schema.base import Model, Positive

Kind = TypeVar("Kind", bound=str)


class Normalising(Model, Generic[Kind]):
    """Keys of every norm, and what a reader may know of one without its name."""

    may_be_biased: ClassVar[bool] = True
    """Whether it has a bias in a stream that has biases."""

    kind: Kind
    eps: Positive = 1e-5
    placement: Literal["pre", "post"] = "pre"


class LayerNorm(Normalising[Literal["layer"]]):
    """By mean and variance over the features (Ba et al. 2016)."""

    kind: Literal["layer"] = "layer"


class RmsNorm(Normalising[Literal["rms"]]):
    """By the root mean square of the features (Zhang & Sennrich 2019)."""

    may_be_biased = False


def _as_norm(value: Any) -> Any:
    """`rms` is short for a kind; a layer norm need not be named."""
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Mapping) and "kind" not in value:
        return {"kind": "layer", **value}
    return value


KINDS: dict[str, type[Normalising[Any]]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in (LayerNorm, RmsNorm)
}
"""Every norm by its name."""

Norm = Annotated[
    Annotated[LayerNorm | RmsNorm, Field(discriminator="kind")], BeforeValidator(_as_norm)
]
