"""Feed-forward layers: dense, gated, and routed to experts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema.base import Model, NonNegative, Refused, Size

Activation = Literal["gelu", "gelu-tanh", "relu", "silu", "quick-gelu"]


class _Common(Model):
    """Keys of every feed-forward; `width` None means four times the stream's."""

    width: Size | None = None
    activation: Activation = "gelu"


class Mlp(_Common):
    """down(act(up x))."""

    kind: Literal["mlp"] = "mlp"


class Glu(_Common):
    """down(act(gate x) * up x) (Shazeer 2020)."""

    kind: Literal["glu"]


class Experts(_Common):
    """Token-choice top-k experts with a balance loss (Shazeer et al. 2017, Fedus et al. 2021)."""

    kind: Literal["experts"]
    experts: Size
    choose: Size
    renormalise: bool = True
    balance: NonNegative = 0.0

    @model_validator(mode="after")
    def _enough(self) -> Experts:
        if self.choose > self.experts:
            message = f"choose {self.choose} of {self.experts} experts"
            advice = f"choose at most {self.experts}"
            raise Refused(Diagnostic("MM105", message, help=advice), "choose")
        return self


class Switch(_Common):
    """One expert a token, weighted by its raw probability (Fedus et al. 2021)."""

    kind: Literal["switch"]
    experts: Size
    balance: NonNegative = 0.01


class ByModality(_Common):
    """One mlp for each segment of the stream."""

    kind: Literal["by-modality"]


FeedForward = Annotated[Mlp | Glu | Experts | Switch | ByModality, Field(discriminator="kind")]
