"""Feed-forward layers: dense, gated, and routed to experts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from mmspec.diagnostics import Diagnostic
from mmspec.schema.base import ExpertCount, Features, Model, NonNegative, Refused, Size

Activation = Literal["gelu", "gelu-tanh", "relu", "silu", "quick-gelu"]


class _Common(Model):
    """Keys of every feed-forward, and what a reader may know of one without its kind.

    `width` None means four times the stream's.
    """

    split: ClassVar[bool] = False
    """Whether each segment of a stream has weights of its own."""

    width: Features | None = None
    """Hidden features; by default four times the width of the stream."""
    activation: Activation = "gelu"
    """What hidden features go through."""

    @property
    def routed(self) -> tuple[int, int] | None:
        """How many experts each token goes to, and of how many; None: all go one way."""
        return None

    @property
    def caption(self) -> str:
        """In a few words; nothing where it is the default."""
        return ""


class Mlp(_Common):
    """down(act(up x))."""

    kind: Literal["mlp"] = "mlp"


class Glu(_Common):
    """down(act(gate x) * up x) (Shazeer 2020)."""

    kind: Literal["glu"]

    @property
    def caption(self) -> str:
        """Its kind."""
        return "glu feed-forward"


class Experts(_Common):
    """Token-choice top-k experts with a balance loss (Shazeer et al. 2017, Fedus et al. 2021)."""

    kind: Literal["experts"]
    experts: ExpertCount
    """How many there are."""
    choose: Size
    """To how many of them each token goes."""
    renormalise: bool = True
    """Whether the weights of the chosen sum to 1."""
    balance: NonNegative = 0.0
    """The weight of the loss that spreads tokens evenly."""

    @property
    def routed(self) -> tuple[int, int]:
        """To the chosen."""
        return self.choose, self.experts

    @property
    def caption(self) -> str:
        """`8 experts, top 2`."""
        return f"{self.experts} experts, top {self.choose}"

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
    experts: ExpertCount
    """How many there are."""
    balance: NonNegative = 0.01
    """The weight of the loss that spreads tokens evenly."""

    @property
    def routed(self) -> tuple[int, int]:
        """To one."""
        return 1, self.experts

    @property
    def caption(self) -> str:
        """`8 experts, switch`."""
        return f"{self.experts} experts, switch"


class ByModality(_Common):
    """One mlp for each segment of the stream."""

    split = True

    kind: Literal["by-modality"]

    @property
    def caption(self) -> str:
        """Its kind."""
        return "by-modality feed-forward"


KINDS: dict[str, type[_Common]] = {
    "mlp": Mlp,
    "glu": Glu,
    "by-modality": ByModality,
    "switch": Switch,
    "experts": Experts,
}
"""Every feed-forward by its name."""

FeedForward = Annotated[Mlp | Glu | Experts | Switch | ByModality, Field(discriminator="kind")]
