"""The Spec: a validated document, every size a number, every name resolved."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from mmspec.diagnostics import Diagnostic, Span
from mmspec.schema.base import Model, Refused, Size
from mmspec.schema.claim import Claim
from mmspec.schema.head import Head
from mmspec.schema.inheritance import written
from mmspec.schema.init import FAN_IN, Init
from mmspec.schema.modality import Modality
from mmspec.schema.names import DimName, Name, PackageName, PartName
from mmspec.schema.objective import LOSSES, Loss, Objective
from mmspec.schema.stream import Stream
from mmspec.text import Document


def _version(value: Any) -> Any:
    """The version, which no other value that Python calls equal to 1 may stand for."""
    if type(value) is int and value != 1:
        message = f"this is mmspec for version 1 of the language, not {value}"
        raise Refused(Diagnostic("MM103", message, help="write `mmspec: 1`"))
    if type(value) is not int:
        shown = "text" if isinstance(value, str) else "another value"
        message = f"the version is the whole number 1, and this is {shown}"
        raise Refused(Diagnostic("MM104", message, help="write `mmspec: 1`"))
    return value


Version = Annotated[Literal[1], BeforeValidator(_version)]


class Spec(Model):
    """A whole architecture; `span` finds the user's line of any part of it."""

    mmspec: Version
    """The version of the language."""
    name: PackageName
    """The package and its class are named so."""
    about: str = Field(default="", max_length=500)
    """What the model is, in a sentence."""
    dims: dict[DimName, Size] = Field(default_factory=dict)
    """Sizes by name, each maybe made of those before it."""
    init: Init = FAN_IN
    """How the weights start."""
    modalities: dict[PartName, Modality] = Field(min_length=1)
    """What goes in, by name."""
    streams: dict[PartName, Stream] = Field(min_length=1)
    """Stacks of blocks, by name."""
    heads: dict[PartName, Head] = Field(min_length=1)
    """What comes out, by name."""
    objectives: dict[Name, Objective] = Field(default_factory=dict)
    """Losses and their weights, by head."""
    claims: tuple[Claim, ...] = ()
    """What `mmspec verify` proves, tests or refutes."""

    _document: Document | None = PrivateAttr(default=None)

    def span(self, *keys: Any) -> Span | None:
        """Where the value at `keys` stands in the user's file (None without a document)."""
        return self._document.span(*self.written(*keys)) if self._document else None

    def written(self, *keys: Any) -> tuple[Any, ...]:
        """The keys at which the value at `keys`, which may be inherited, was written."""
        return written(self._document.data, keys) if self._document else keys

    def attach(self, document: Document) -> None:
        """Remember the document, for spans; called once by `validate`."""
        self._document = document

    @property
    def document(self) -> Document | None:
        """The text this spec was read from."""
        return self._document

    def loss_of(self, head: str) -> Loss:
        """What a head is trained by."""
        said = self.objectives.get(head)
        return said.loss if said and said.loss else LOSSES[self.heads[head].kind][0]

    @property
    def class_name(self) -> str:
        """The model's class name: the spec's name in CamelCase."""
        return camel(self.name)


def camel(name: str) -> str:
    """`cross_attention` -> `CrossAttention`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
