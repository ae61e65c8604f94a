"""Heads: what is read from a stream, and what it is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from mmspec.compiler.ir.tokens import Value
from mmspec.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Head:
    """kind: classifier, regressor, language-model or contrastive.

    size: classes, outputs, vocab or width.
    """

    name: str
    module: str
    kind: str
    sources: tuple[Value, ...]
    size: int
    pool: str
    segment: str | None
    tied: str | None
    """Module of the tied token embedding."""
    temperature: float
    loss: str
    weight: float
    smoothing: float
    span: Span | None
    told: str = ""
    """language-model: tokens k, each p of its document, that the row before them sees: no loss."""
