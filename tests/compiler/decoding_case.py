"""Models that decode, compiled for tests: rows of one forward pass are what decoding must give."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.compiler.emit.emit import emit
from mmspec.compiler.emit.package import Package
from mmspec.compiler.load import load_module
from mmspec.compiler.lower.lower import lower
from mmspec.schema.validate import validate
from mmspec.text import parse


def compiled(text: str) -> Package:
    """The package of a spec."""
    spec = validate(parse(text))
    return emit(lower(spec), spec)


@dataclass
class Case:
    """A model in float64, its decoding, and what it is asked: ids [B, T], other inputs."""

    model: nn.Module
    steps: ModuleType
    name: str
    ids: Tensor
    given: dict[str, Any]

    def rows(self, lengths: Tensor) -> Tensor:
        """The logits of one forward pass over all tokens."""
        return self._logits(self.model(**self._inputs(self.ids, lengths)))

    def prefill(self, tokens: int, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits of a prompt of so many tokens (of each sample its own number), and the cache."""
        output, cache = self.steps.prefill(
            self.model, **self._inputs(self.ids[:, :tokens], lengths)
        )
        return self._logits(output), cache

    def decode(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Logits of the next tokens, and the cache after them."""
        found: tuple[Tensor, Any] = self.steps.decode(self.model, ids, cache)
        return found

    def decoded(self, prompt: Tensor, chunks: Sequence[int]) -> Tensor:
        """Logits of chunks after prompts of these lengths: [B, sum of chunks, V]."""
        _, cache = self.prefill(int(prompt.max()), prompt)
        found, done = [], prompt.clone()
        for size in chunks:
            logits, cache = self.decode(self.following(done, size), cache)
            found.append(logits)
            done = done + size
        return torch.cat(found, dim=1)

    def following(self, after: Tensor, size: int) -> Tensor:
        """The next tokens of each sample."""
        return self.ids.gather(1, after[:, None] + torch.arange(size))

    def wanted(self, prompt: Tensor, tokens: int) -> Tensor:
        """The rows of one forward pass that decoding so many tokens after prompts must give."""
        rows = self.rows(prompt + tokens)
        at = prompt[:, None] + torch.arange(tokens)
        return rows.gather(1, at[..., None].expand(-1, -1, rows.shape[2]))

    def _inputs(self, ids: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        known = dict(self.given.get("lengths", {}))
        if lengths is not None:
            known[self.name] = lengths
        return {**self.given, self.name: ids, "lengths": known}

    @staticmethod
    def _logits(output: Any) -> Tensor:
        logits: Tensor = output.heads.next
        return logits


def case(text: str, tokens: int, given: dict[str, Any] | None = None, batch: int = 3) -> Case:
    """A model of a spec with a head `next` over `text`, and so many tokens for each sample."""
    return loaded(compiled(text), tokens, given, batch)


def loaded(
    package: Package, tokens: int, given: dict[str, Any] | None = None, batch: int = 3
) -> Case:
    """The same of a package."""
    top = load_module(package)
    steps = sys.modules[f"{top.__name__}.decoding"]
    torch.manual_seed(0)
    model = getattr(top, package.class_name)().double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(0, 11, (batch, tokens), generator=torch.Generator().manual_seed(1))
    return Case(model, steps, "text", ids, given or {})


def close(found: Tensor, wanted: Tensor) -> bool:
    """Whether two float64 results agree as the laws ask."""
    return bool((found - wanted).abs().le(1e-10 + 1e-8 * wanted.abs()).all())
