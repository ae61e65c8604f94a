"""What is verified: a spec, its plan, its package, and models and reference runs of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mmspec.compiler import ir
from mmspec.diagnostics import Span
from mmspec.schema.spec import Spec
from mmspec.text import Document
from mmspec.verify.outcome import Broken

SMALL = 1_000_000
"""Parameters up to which laws run the spec as it is."""

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmspec.compiler.emit.package import Package
    from mmspec.verify.reference import Result
    from mmspec.verify.reference.model import Mode
    from mmspec.verify.strategies import Inputs
    from mmspec.verify.twin import Kept, Twin


@dataclass(frozen=True, repr=False)
class Subject:
    """A spec and all that is made of it; `given` replaces the package that would be emitted."""

    path: str
    document: Document
    spec: Spec
    plan: ir.Plan
    given: Package | None = None
    cut: str = ""
    """What it is a reduced twin by; nothing where it is the spec as written."""

    def __repr__(self) -> str:
        return f"Subject({self.path!r})"

    @classmethod
    def of(cls, path: str | os.PathLike[str], package: Package | None = None) -> Subject:
        """The subject of a spec file; raises MmspecError when the spec is not valid."""
        from mmspec.text import read

        return cls._of_document(read(path), package)

    @classmethod
    def of_text(cls, text: str, package: Package | None = None, path: str = "spec.yaml") -> Subject:
        """The subject of a spec's text; raises MmspecError when the spec is not valid."""
        from mmspec.text import parse

        return cls._of_document(parse(text, path), package)

    @classmethod
    def _of_document(cls, document: Document, package: Package | None) -> Subject:
        from mmspec.compiler.lower.lower import lower
        from mmspec.schema.validate import validate

        spec = validate(document)
        return cls(document.path, document, spec, lower(spec), package)

    @cached_property
    def package(self) -> Package:
        """The emitted package."""
        from mmspec.compiler.emit.emit import emit

        return self.given or emit(self.plan, self.spec)

    @cached_property
    def model_class(self) -> type[nn.Module]:
        """The class of the emitted model; raises Broken when the package cannot be imported."""
        from mmspec.compiler.load import load

        package = self.package
        try:
            return load(package)
        except Exception as error:
            raise Broken(f"the package cannot be imported: {words(error)}") from error

    def model(self, seed: int = 0, train: bool = False) -> Any:
        """A fresh float64 model with the weights of `seed`; raises Broken if it takes others."""
        model: nn.Module = self.model_class().double().train(train)
        try:
            model.load_state_dict(self.weights(seed))
        except RuntimeError as error:
            raise Broken(f"the model has other weights: {words(error)}") from error
        return model

    def weights(self, seed: int = 0) -> dict[str, Tensor]:
        """Random float64 weights by name, nowhere 0 or 1."""
        from mmspec.verify.strategies import weights

        return weights(self.spec, seed)

    def reference(
        self, batch: Inputs, seed: int = 0, mode: Mode = "eval", record: bool = False
    ) -> Result:
        """The meaning of a batch under the weights of `seed`."""
        from mmspec.verify.reference import run

        w = self.weights(seed)
        given = batch.tensors, batch.lengths, batch.targets
        return run(self.spec, w, *given, mode, record, batch.documents, batch.added)

    def reduced(self, keeps: tuple[Kept, ...] = ()) -> Subject:
        """A subject for laws that run models: itself where it is small, else its reduced twin."""
        if self.given or self.parameters <= SMALL:
            return self
        key = ("reduced", keeps)
        if key not in self.kept:
            from mmspec.verify.twin import twin

            found = twin(self.spec, self.document, keeps)
            self.kept[key] = self if found is None else self._of_twin(found)
        made: Subject = self.kept[key]
        return made

    def _of_twin(self, found: Twin) -> Subject:
        from mmspec.compiler.lower.lower import lower

        return Subject(self.path, found.document, found.spec, lower(found.spec), cut=found.words)

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What checks of this subject share: models, weights."""
        return {}

    @cached_property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        from mmspec.verify import costs

        return costs.parameters(self.plan)

    def where(self, *keys: str | int) -> Span:
        """Where the value at `keys` stands in the spec, or its nearest ancestor."""
        return self.document.span(*keys)


def words(error: BaseException) -> str:
    """An exception in one line."""
    message = " ".join(str(error).split())
    shown = message if len(message) <= 300 else f"{message[:297]}..."
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__
