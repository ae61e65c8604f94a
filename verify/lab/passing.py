"""What passes through the modules of a model: each sample's valid tokens, call by call."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.schema.check import token_segment
from mmspec.schema.wiring import Source
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case
from mmspec.verify.reference.arithmetic import INPUT
from mmspec.verify.reference.shapes import embedding_name
from mmspec.verify.subject import Subject

Passed = dict[str, list[list[Tensor]]]
"""What modules gave (or were given: INPUT), by name, sample and call."""


@dataclass(slots=True)
class Run:
    """A run of a model: the names in the order of execution, with what had that name; its heads."""

    modules: frozenset[str]
    notes: list[tuple[str, Tensor]] = field(default_factory=list)
    heads: dict[str, Tensor] = field(default_factory=dict)
    statistics: dict[str, Tensor] = field(default_factory=dict)


def run(subject: Subject, case: Case, model: nn.Module) -> Run:
    """Run a model on a case in the case's mode, without dropout, and note what passes through."""
    seen = Run(frozenset(name for name, _ in model.named_modules()))
    with _noting(model, seen), lab.dry(model.train(case.mode == "train")), torch.no_grad():
        out = lab.call(model, case)
    said = {name: getattr(out.heads, name, None) for name in subject.spec.heads}
    seen.heads = {name: x for name, x in said.items() if x is not None}
    seen.statistics = dict(out.statistics)
    return seen


@contextmanager
def _noting(model: nn.Module, seen: Run) -> Generator[None]:
    """Note what every module is given first, and the tokens that it gives."""

    def before(name: str) -> Any:
        def note(_module: Any, given: Any, named: Any) -> None:
            first = given[0] if given else next(iter(named.values()), None)
            if isinstance(first, Tensor):
                seen.notes.append((name + INPUT, first.detach().clone()))

        return note

    def after(name: str) -> Any:
        def note(_module: Any, _given: Any, out: Any) -> None:
            tokens: Any = lab.tokens_of(out)
            if isinstance(tokens, Tensor):
                seen.notes.append((name, tokens.detach().clone()))

        return note

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                entering = module.register_forward_pre_hook(before(name), with_kwargs=True)
                stack.callback(entering.remove)
                stack.callback(module.register_forward_hook(after(name)).remove)
        yield


def is_place(subject: Subject, name: str) -> bool:
    """Whether a name is of tokens of a stream or source, or of a row a sample: of no inside.

    Embeddings, projections, fusions and streams as a whole; of a fusion its attention, of a stream
    its norm and what halts it; of both, blocks and what is in them. Streams and norms are also
    looked at for what they are given.
    """
    top, *inner = name.removesuffix(INPUT).split(".")
    owner = _owners(subject).get(top)
    if owner is None or (inner and not isinstance(owner, str)):
        return False
    if name.endswith(INPUT):
        whole = not inner and top.endswith("_stream")
        return whole or (name.endswith(f"norm{INPUT}") and _is_within(inner))
    return not inner or _is_within(inner)


def _is_within(inner: list[str]) -> bool:
    """Whether a path below a fusion or stream is a place."""
    if inner[0] == "blocks":
        return len(inner) in (2, 3)
    return inner in (["attention"], ["norm"], ["halt"])


def _owners(subject: Subject) -> dict[str, str | Source]:
    """Modules of the model with the stream whose tokens they give, or the source."""
    graph, found = lab.wiring(subject), dict[str, str | Source]()
    for stream in subject.spec.streams:
        found |= {f"{stream}_stream": stream, f"{stream}_fusion": stream}
        for source in graph.sources[stream]:
            if source.is_stream:
                found[f"{source.name}_to_{stream}"] = source
            else:
                found[embedding_name(graph, source.name, stream)] = source
    return found


def by_sample(subject: Subject, case: Case, seen: Run) -> tuple[Passed, dict[str, Tensor]]:
    """What a model gave each sample at each place, and its heads, NaN where they are padded."""
    found: Passed = {}
    for name, x in seen.notes:
        if not is_place(subject, name):
            continue
        calls = found.setdefault(name, [[] for _ in range(case.batch.batch)])
        call = max(map(len, calls))
        running = _running(subject, case, seen.statistics, name, call, len(x))
        pieces = split(subject, case, name, x, running)
        for sample, piece in zip(running, pieces if isinstance(pieces, list) else (), strict=False):
            calls[sample].append(piece)
    return found, {name: _blanked(subject, case, name, x) for name, x in seen.heads.items()}


def split(
    subject: Subject, case: Case, name: str, x: Tensor, running: list[int]
) -> list[Tensor] | str:
    """The valid tokens of each sample that is still at work, in order; else why not, in words."""
    if not running:
        return "is called too often"
    if len(x) != len(running):
        return f"has rows of {len(x)} samples, not of {len(running)}"
    valid = _valid(subject, case, name)
    if valid is None:
        return list(x)
    places = valid[running]
    if x.ndim != 3 or x.shape[:2] != places.shape:
        return f"has shape {list(x.shape)}, where there are {list(places.shape)} tokens"
    return [row[place] for row, place in zip(x, places, strict=True)]


def _valid(subject: Subject, case: Case, name: str) -> Tensor | None:
    """Which tokens of a module are valid [B, T]; None: it gives one row a sample."""
    if name.endswith(".halt"):
        return None
    owner = _owners(subject)[name.split(".")[0]]
    if isinstance(owner, str):
        return lab.valid(subject, case.batch, owner)
    return lab.valid_source(subject, case.batch, owner)


def _running(
    subject: Subject,
    case: Case,
    statistics: Mapping[str, Tensor],
    name: str,
    call: int,
    rows: int,
) -> list[int]:
    """The samples that a call is for: all, or those that have not halted by the statistics."""
    everyone = list(range(case.batch.batch))
    stream = next((s for s in subject.spec.streams if name.startswith(f"{s}_stream.")), None)
    if rows == len(everyone) or stream is None:
        return everyone
    config = subject.spec.streams[stream]
    if config.halting is None:
        return everyone
    inner = name.removeprefix(f"{stream}_stream.").split(".")
    calls = config.halting.leaves(config.depth)
    if inner[0] == "blocks":
        calls = config.halting.runs(int(inner[1]))
    took = statistics[f"{stream}.{config.halting.counted}"]
    needed = (*calls, calls[-1] + 1)[min(call, len(calls))]
    return [sample for sample in everyone if int(took[sample]) >= needed]


def _blanked(subject: Subject, case: Case, name: str, x: Tensor) -> Tensor:
    """A head's output; that of a language model is NaN at padded positions, which mean nothing."""
    head = subject.spec.heads[name]
    segment = token_segment(subject.spec, lab.wiring(subject), head)
    if segment is None:
        return x.detach()
    counts = torch.tensor(lab.counted(subject.spec, case.batch, segment))
    padded = torch.arange(x.shape[1]) >= counts[:, None]
    return x.detach().masked_fill(padded[..., None], torch.nan)
