"""Thirty training steps of small models in float64, as text that is the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import torch
import torch.nn.functional as F
from curve_batches import SAMPLES, batch, shares
from model_inputs import SPECS
from torch import Tensor, nn

import mmspec
from mmspec.schema.spec import Spec

STEPS: Final = 30
SAME: Final = 1e-9
"""How far numbers may lie apart, relative to their size, and be the same."""
_SEED: Final = 10


@dataclass(frozen=True, slots=True)
class Case:
    """A shipped spec, and what is changed so that it is small or reaches more.

    most: tokens or frames of the longest sample, see `batch`; edits: text and what stands in its
    place; packed: whether tokens come with their documents; spec: the one that is changed, where
    it is not that of the case's name.
    """

    most: int = 12
    edits: tuple[tuple[str, str], ...] = ()
    packed: bool = False
    spec: str = ""


CASES: Final = {
    "bands": Case(24),
    "blended": Case(24),
    "alibi": Case(24),
    "relative": Case(24, (("offsets(15)", "offsets(3)"), ("buckets(16, 64)", "buckets(8, 9)"))),
    "act": Case(edits=(("weight: 0.01", "weight: 0.01, threshold: 0.73"),)),
    "capped": Case(24, (("before=63", "before=5"),)),
    "cross_attention": Case(),
    "captioner": Case(24, (("size: [64, 64]", "size: [16, 16]"),)),
    "early_exit": Case(edits=(("threshold: 0.8", "threshold: 0.27"),)),
    "emoji": Case(24, (("size: [64, 64]", "size: [16, 16]"), ("buckets: 4096", "buckets: 101"))),
    "experts_by_modality": Case(24, (("dims:", "init: normal(0.05)\ndims:"),)),
    "experts_top2": Case(40, (("before=31", "before=9"),)),
    "film": Case(edits=(("attention: window(before=5, after=5)", "attention: window(before=2)"),)),
    "gated": Case(24, (("dims:", "init: truncated-normal(0.1)\ndims:"),)),
    "fronted": Case(
        24,
        (
            (
                "size: [64, 64], patch: 8",
                "size: [16, 16], lead: {cls: 1}, stem: [convolution(6, kernel=3), max(kernel=2, "
                "stride=2), mean(kernel=3), convolution(64, kernel=4, stride=4)]",
            ),
            ("max: 128}", "max: 128}, add: {kind: {categories: 2}, place: {numbers: 3}}"),
            (
                "heads:\n",
                "heads:\n  label: {from: image, kind: classifier, classes: 5, pool: cls, through: "
                "[linear(7), norm, tanh, gelu, gelu-tanh, quick-gelu, silu, linear(6), relu]}\n",
            ),
        ),
        spec="captioner",
    ),
    "gates": Case(
        24,
        (
            ("size: [64, 64], patch: 8", "size: [16, 16], patch: 8, norm: layer, bias: false"),
            ("max: 128}", "max: 128}, scale: sqrt(d), norm: rms"),
            ("{cross: image}", "{cross: image, scale: gate}"),
            (
                "heads:\n",
                "heads:\n  label: {from: image, kind: classifier, classes: 5, through: [linear(6), "
                "glu]}\n",
            ),
        ),
        spec="captioner",
    ),
    "gpt2": Case(
        70,
        (
            ("d: 768", "d: 24"),
            ("vocab: 50257", "vocab: 101"),
            ("max: 1024", "max: 128"),
            ("depth: 12", "depth: 2"),
            ("heads: 12", "heads: 3\n    dropout: 0.1"),
            ("attention: causal", "attention: causal & document"),
        ),
        packed=True,
    ),
    "hierarchical": Case(44),
    "local_global": Case(24, (("before=63", "before=5"),)),
    "macaron": Case(24),
    "multi_stream_concat": Case(24),
    "normed": Case(
        24,
        (("before=63", "before=5"), ("rms(1e-6)", "{kind: rms, eps: 1e-6, over: heads}")),
        spec="capped",
    ),
    "ponder": Case(edits=(("weight: 0.01", "weight: 0.01, threshold: 0.73"),)),
    "scaled": Case(
        24,
        (
            ("position: learned", "position: rotary"),
            ("before=127)", "before=9)\n    rotary: {base: 100, scaling: llama3(4, 12, 1, 4)}"),
        ),
        spec="sliding",
    ),
    "single_stream": Case(),
    "stamps": Case(24),
    "transformer_fusion": Case(
        edits=(
            ("global(1)}", "global(1), feed_forward: {kind: mlp, activation: relu}}"),
            ("classes: 6", "classes: 6, pool: last"),
        )
    ),
    "turned": Case(
        24,
        (
            (
                "| global(1)",
                "| global(1)\n    norm: {kind: layer, placement: sandwich}\n"
                "    rotary: {base: 100, scaling: linear(4)}",
            ),
            (
                "of: [image, text]}",
                "of: [image, text]}\n    rotary: none\n    norm: {kind: layer, placement: branch}",
            ),
        ),
        spec="gated",
    ),
    "two_tower": Case(),
    "video": Case(24),
}
"""By the name of the spec, or their own."""


def written(name: str, folder: Path) -> Path:
    """The spec of a case as a file."""
    of = CASES[name].spec or name
    text = (SPECS / f"{of}.yaml").read_text(encoding="utf-8")
    for old, new in ((f"name: {of}", f"name: {name}"), *CASES[name].edits):
        assert old in text, f"specs/{of}.yaml has no {old!r} any more: mend CASES"
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _unchanged(model: nn.Module) -> None:
    """Nothing is done to a model."""


def curve(
    path: Path,
    backend: str,
    change: Callable[[nn.Module], None] = _unchanged,
    steps: int = STEPS,
) -> str:
    """The losses of all steps and of an evaluation after them, or of the first steps.

    change: what is done to the model before it is trained.
    """
    spec = mmspec.read(path)
    case = CASES[spec.name]
    with _the_same_everywhere():
        model = mmspec.compile(path, backend)()
        change(model)
        return "\n".join([*_header(spec, case), *_trained(model, spec, case, steps)]) + "\n"


@contextmanager
def _the_same_everywhere() -> Generator[None]:
    """One thread, weights made in float64, and what dropout drops drawn as batches are.

    Of torch's own numbers normal ones in float32 follow from the processor, and what is dropped
    from how torch was built. Attention in float64 is never by native code, nor measured.
    """
    threads, dtype, source = torch.get_num_threads(), torch.get_default_dtype(), Random(_SEED)

    def dropped(x: Tensor, p: float, training: bool, inplace: bool = False) -> Tensor:
        return x * (shares(source, *x.shape) >= p) / (1 - p) if training else x

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        with patch.object(F, "dropout", dropped), torch.random.fork_rng(devices=()):
            torch.manual_seed(_SEED)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def _header(spec: Spec, case: Case) -> Iterator[str]:
    yield f"# specs/{spec.name}.yaml: {STEPS} steps of AdamW in float64; weights of seed {_SEED}"
    for old, new in case.edits:
        yield f"# {old} -> {'; '.join(map(str.strip, new.splitlines()))}"
    hidden = [name for name, modality in spec.modalities.items() if modality.optional]
    yield f"# {SAMPLES} samples a step, of {case.most} tokens or frames at most"
    yield f"# now and then absent: {', '.join(hidden) or 'nothing'}"


def _trained(model: nn.Module, spec: Spec, case: Case, steps: int) -> Iterator[str]:
    """A line for each step, and one of an evaluation after the last."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, foreach=False)
    model.train()
    for step in range(1, steps + 1):
        output = model(**batch(spec, case.most, step, case.packed))
        optimiser.zero_grad()
        output.loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        yield _line(f"step {step}", output, {"gradient": norm})
        optimiser.step()
    if steps < STEPS:
        return
    model.eval()
    with torch.no_grad():
        output = model(**batch(spec, case.most, STEPS + 1, case.packed))
    figures = {name: value.double().norm() for name, value in output.statistics.items()}
    yield _line("evaluation", output, figures)


def _line(name: str, output: Any, others: Mapping[str, Tensor]) -> str:
    measured = {"loss": output.loss, **output.losses, **output.auxiliary, **others}
    return "  ".join([name, *(f"{key} {value.item()!r}" for key, value in measured.items())])


def difference(kept: str, found: str) -> str:
    """Where two curves differ first by more than rounding; nothing where they do not."""
    before, now = kept.splitlines(), found.splitlines()
    told = (_told(old, new) for old, new in zip(before, now, strict=False))
    return next(filter(None, told), "" if len(before) == len(now) else "not as many lines")


def _told(old: str, new: str) -> str:
    """What a line says that another does not."""
    if old.startswith("#") or new.startswith("#"):
        return "" if old == new else f"{new!r}, not {old!r}"
    (name, *were), (_, *are) = old.split("  "), new.split("  ")
    if [each.split()[0] for each in were] != [each.split()[0] for each in are]:
        return f"{name}: other figures"
    for was, figure in zip(were, are, strict=True):
        a, b = (float(each.split()[1]) for each in (was, figure))
        if not math.isclose(a, b, rel_tol=SAME, abs_tol=SAME / 1000):
            return f"{name}: {figure}, not {a!r}"
    return ""
