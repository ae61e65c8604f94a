"""Held-out figures of a model, with everything present and with modalities absent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.halting import KINDS
from mmspec.schema.spec import Spec
from mmspec.train.feed import Feed
from mmspec.train.scores import UNFIT, Score, check_finite, score

_BATCH: Final = 64
_GALLERY: Final = 512
ALL: Final = "all present"
Figures = dict[str, float]
Table = dict[str, dict[str, Figures]]
"""Condition -> head (or `statistics`) -> figure -> value."""


def conditions(spec: Spec) -> dict[str, frozenset[str]]:
    """What to evaluate with: everything, all but each optional modality, each one alone.

    A modality that is not optional is always there. With one optional modality or two,
    "without the one" and "the other alone" are the same and are named once.
    """
    names = frozenset(spec.modalities)
    optional = [name for name, modality in spec.modalities.items() if modality.optional]
    required = names - frozenset(optional)
    found = {ALL: names}
    for name in optional:
        if names - {name}:
            found[f"without {name}"] = names - {name}
    for name in optional:
        only = required | {name}
        if not required and only not in found.values():
            found[f"only {name}"] = only
    return found


def evaluate(
    model: nn.Module, spec: Spec, feed: Feed, present: Mapping[str, frozenset[str]]
) -> Table:
    """Evaluate under each condition; the model's mode and the random state are as before after.

    Raises MmspecError MM619 where an output or a figure is not finite.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            return {name: _evaluate(model, spec, feed, names) for name, names in present.items()}
    finally:
        model.train(was_training)


def _evaluate(
    model: nn.Module, spec: Spec, feed: Feed, present: frozenset[str]
) -> dict[str, Figures]:
    size = _GALLERY if any(head.matches for head in spec.heads.values()) else _BATCH
    device = next(model.parameters()).device
    scores: dict[str, Score] = {}
    statistics: dict[str, list[float]] = {}
    for held in feed.held_out(present, size):
        inputs = held.to(device)
        output: Any = model(**inputs.modalities, lengths=inputs.lengths)
        for name in inputs.targets:
            logits = getattr(output.heads, name)
            scores.setdefault(name, score(name, spec)).add(logits, inputs)
        for name, values in _per_sample(output.statistics).items():
            check_finite(name, values, inputs)
            statistics.setdefault(name, []).extend(values.tolist())
    found = {name: taken.figures() for name, taken in scores.items()}
    means = {name: sum(values) / len(values) for name, values in statistics.items() if values}
    return _checked(found | ({"statistics": means} if means else {}))


def _per_sample(statistics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How deep each sample went: `joint.steps`, `joint.depth`."""
    return {
        name: values.float()
        for name, values in statistics.items()
        if name.rpartition(".")[2] in {kind.counted for kind in KINDS.values()}
    }


def _checked(found: dict[str, Figures]) -> dict[str, Figures]:
    """The figures; raises MM619 where one is not finite, as a sum of large errors may be."""
    for name, figures in found.items():
        for figure, value in figures.items():
            if not math.isfinite(value):
                message = f"`{figure}` of `{name}` is {value} over the held-out samples"
                raise MmspecError(Diagnostic("MM619", message, help=UNFIT))
    return found
