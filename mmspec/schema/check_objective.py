"""Objectives: what a head is trained by goes with its kind, and is no input."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.diagnostics import MmspecError
from mmspec.expressions.scanner import did_you_mean
from mmspec.schema.objective import LOSSES
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, problem


def of_heads(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with what heads are trained on, and by."""
    yield from _targets(spec, wiring)
    yield from _objectives(spec, wiring)


def _targets(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """No column is an input and a target: what a model reads it cannot be asked."""
    reads = {name: f"modality `{name}`" for name in spec.modalities}
    for name, modality in spec.modalities.items():
        reads |= {column: f"table `{name}`" for column in modality.cells}
    for name, head in spec.heads.items():
        if name in reads and head.of_column:
            yield problem(
                spec,
                "MM323",
                f"head `{name}` is trained on the column `{name}`, and {reads[name]} reads it too",
                "heads",
                name,
                help="remove it from the inputs; if they are two columns, rename one of them",
                word=name,
            )


def _objectives(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    for name, objective in spec.objectives.items():
        head = spec.heads.get(name)
        if head is None:
            left = [other for other in spec.heads if other not in spec.objectives]
            yield problem(
                spec,
                "MM319",
                f"no head `{name}`",
                "objectives",
                name,
                help=did_you_mean(name, left, "heads"),
                word=name,
            )
            continue
        fitting = LOSSES[head.kind]
        if objective.loss not in (None, *fitting):
            yield problem(
                spec,
                "MM320",
                f"a {head.kind} head is trained by {' or '.join(fitting)}",
                "objectives",
                name,
                "loss",
                help=f"write {' or '.join(fitting)}, or leave it out",
            )
        if objective.smoothing and "cross-entropy" not in fitting:
            yield problem(
                spec,
                "MM320",
                "smoothing goes with cross-entropy",
                "objectives",
                name,
                "smoothing",
                help="leave it out",
            )
