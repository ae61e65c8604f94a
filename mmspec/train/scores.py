"""What each kind of head is judged by on held-out data, one class a kind."""

from __future__ import annotations

import math
from typing import Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.check import token_segment
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.train.data import supplied
from mmspec.train.feed import Inputs

_IGNORED: Final = -100
_RANKS: Final = (1, 10)
_BYTES: Final = 256
UNFIT: Final = "no figure is made of it: look at the data, or train with a lower --lr or --clip"


def check_finite(name: str, output: Tensor, inputs: Inputs, counted: Tensor | None = None) -> None:
    """Raise MM619 where what counts of an output is not finite; the sample that has most of it.

    counted: bool, of the leading axes of the output; all of it where there is none.
    """
    bad = ~output.isfinite()
    if counted is not None:
        bad &= counted.view(*counted.shape, *(1,) * (output.ndim - counted.ndim))
    if not bad.any():
        return
    sample = int(bad.reshape(len(bad), -1).sum(1).argmax())
    value = float(output[sample][bad[sample]][0])
    message = f"`{name}` gives {value} for {inputs.named(sample)}"
    raise MmspecError(Diagnostic("MM619", message, help=UNFIT))


class Score(Protocol):
    """Gathers batches of a head's output, then gives its figures by name."""

    def add(self, output: Tensor, inputs: Inputs) -> None:
        """Take in one batch; raises MM619 where what counts of it is not finite."""
        ...

    def figures(self) -> dict[str, float]:
        """The figures over everything taken in; empty when that was nothing."""
        ...


class Classification:
    """Accuracy, and F1 averaged over the classes that occur; targets of -100 do not count."""

    def __init__(self, name: str, classes: int) -> None:
        self._name = name
        self._counts = torch.zeros(classes, classes, dtype=torch.long)

    def add(self, output: Tensor, inputs: Inputs) -> None:
        """output: [B, classes]."""
        check_finite(self._name, output, inputs)
        target_b = inputs.targets[self._name].cpu()
        kept = target_b != _IGNORED
        guess_b = output.argmax(-1).cpu()
        classes = len(self._counts)
        pairs = torch.bincount(target_b[kept] * classes + guess_b[kept], minlength=classes**2)
        self._counts += pairs.view(classes, classes)

    def figures(self) -> dict[str, float]:
        """`accuracy` and `macro_f1`."""
        total = int(self._counts.sum())
        if not total:
            return {}
        hits, rows, columns = self._counts.diag(), self._counts.sum(1), self._counts.sum(0)
        occurs = (rows + columns) > 0
        f1 = 2 * hits[occurs] / (rows + columns)[occurs]
        return {"accuracy": int(hits.sum()) / total, "macro_f1": float(f1.mean())}


class Regression:
    """Mean squared error over samples and outputs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sum, self._count = 0.0, 0

    def add(self, output: Tensor, inputs: Inputs) -> None:
        """output: [B, outputs]."""
        check_finite(self._name, output, inputs)
        error = output.double().cpu() - inputs.targets[self._name].double().cpu()
        self._sum += float(error.square().sum())
        self._count += error.numel()

    def figures(self) -> dict[str, float]:
        """`mse`."""
        return {"mse": self._sum / self._count} if self._count else {}


class LanguageModelling:
    """Bits a token of predicting each token from those before it (a byte, where tokens are).

    told: tokens that the row before them sees, which count no more than they carry a loss.
    """

    def __init__(
        self, name: str, modality: str, vocab: int, told: frozenset[int] = frozenset()
    ) -> None:
        self._name, self._modality = name, modality
        self._told = torch.tensor(sorted(told), dtype=torch.int64)
        self._unit = "bits_per_byte" if vocab == _BYTES else "bits_per_token"
        self._nats, self._count = 0.0, 0

    def add(self, output: Tensor, inputs: Inputs) -> None:
        """output: [B, T, vocab]."""
        target_bt = inputs.targets[self._name][:, 1:]
        positions_t = torch.arange(1, output.shape[1], device=output.device)
        length_b = inputs.lengths.get(self._modality)
        kept_bt = (target_bt != _IGNORED) & ~torch.isin(positions_t, self._told.to(output.device))
        if length_b is not None:
            kept_bt = kept_bt & (positions_t < length_b[:, None])
        check_finite(self._name, output[:, :-1], inputs, kept_bt)
        chosen = output[:, :-1][kept_bt].float()
        self._nats += float(functional.cross_entropy(chosen, target_bt[kept_bt], reduction="sum"))
        self._count += int(kept_bt.sum())

    def figures(self) -> dict[str, float]:
        """`bits_per_byte` or `bits_per_token`."""
        return {self._unit: self._nats / self._count / math.log(2)} if self._count else {}


class Retrieval:
    """How often the right one is among the first 1 and 10, mean of both directions.

    `sides`: the modalities behind each of the two streams; samples that lack a side are left out.
    """

    def __init__(self, name: str, sides: tuple[tuple[str, ...], ...]) -> None:
        self._name, self._sides = name, sides
        self._hits = dict.fromkeys(_RANKS, 0.0)
        self._count, self._gallery = 0, 0

    def add(self, output: Tensor, inputs: Inputs) -> None:
        """output: [B, B], rows and columns in the order of the samples."""
        both_b = torch.ones(len(output), dtype=torch.bool)
        for side in self._sides:
            both_b &= present(side, inputs, len(output))
        check_finite(self._name, output.cpu(), inputs, both_b[:, None] & both_b)
        logits = output.cpu()[both_b][:, both_b]
        own = logits.diag()
        for scores in (logits, logits.T):
            above = (scores >= own[:, None]).sum(1)
            for rank in _RANKS:
                self._hits[rank] += float((above <= rank).sum()) / 2
        self._count += len(own)
        self._gallery = max(self._gallery, len(own))

    def figures(self) -> dict[str, float]:
        """`r_at_1`, `r_at_10` and `gallery`, the number of candidates."""
        if not self._count:
            return {}
        found = {f"r_at_{rank}": hits / self._count for rank, hits in self._hits.items()}
        return {**found, "gallery": self._gallery}


def present(side: tuple[str, ...], inputs: Inputs, batch: int) -> Tensor:
    """Which samples have any of some modalities: bool [B], on a CPU."""
    return torch.stack([_has(name, inputs, batch) for name in side]).any(0)


def _has(modality: str, inputs: Inputs, batch: int) -> Tensor:
    length_b = inputs.lengths.get(modality)
    if length_b is not None:
        return length_b.cpu() > 0
    return torch.full((batch,), inputs.modalities.get(modality) is not None)


def score(name: str, spec: Spec) -> Score:
    """The score of a head of a spec."""
    head = spec.heads[name]
    segment = token_segment(spec, resolve(spec), head)
    if segment is not None:
        return _language_modelling(name, spec, segment)
    if head.matches:
        return Retrieval(name, supplied(spec, name))
    return Classification(name, head.labels) if head.labels else Regression(name)


def _language_modelling(name: str, spec: Spec, modality: str) -> LanguageModelling:
    """Of a head that says the next tokens of a modality."""
    from mmspec.compiler.lower.lower import lower
    from mmspec.compiler.lower.objective import told_tokens

    told = next(lowered.told for lowered in lower(spec).heads if lowered.name == name)
    tokens = spec.modalities[modality]
    return LanguageModelling(name, modality, tokens.ids, told_tokens(told, tokens.max_tokens))
