"""Running a case: the compiled model with what passes through it, and the reference."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.schema import modality as modalities
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Segment, Source, Wiring, resolve
from mmspec.verify.lab.case import Case
from mmspec.verify.outcome import Broken
from mmspec.verify.reference import Result
from mmspec.verify.reference import run as run_reference
from mmspec.verify.reference.layers import changed
from mmspec.verify.reference.modality import max_tokens, token_count
from mmspec.verify.reference.shapes import embedding_name
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject

EAGER = 1.0
"""A halting bias that is not left as random as all other weights."""


@dataclass(slots=True)
class Seen:
    """What a run gave, and on the way: streams' input and output tokens, embeddings by module."""

    heads: dict[str, Tensor]
    loss: Tensor | None
    losses: dict[str, Tensor]
    auxiliary: dict[str, Tensor]
    statistics: dict[str, Tensor]
    fused: dict[str, Tensor] = field(default_factory=dict)
    streams: dict[str, Tensor] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


def wiring(subject: Subject) -> Wiring:
    """Who reads whom."""
    found: Wiring = subject.kept.setdefault("wiring", None) or resolve(subject.spec)
    subject.kept["wiring"] = found
    return found


def weights(subject: Subject, case: Case) -> dict[str, Tensor]:
    """The weights of a case, as leaves that gradients can be asked of."""
    key = ("weights", case.seed, case.sharp)
    if key not in subject.kept:
        found = subject.weights(case.seed)
        for name in deciders(subject.spec) if case.sharp != 1 else ():
            bias = name.endswith("bias")
            found[name] = torch.full_like(found[name], EAGER) if bias else found[name] * case.sharp
        subject.kept[key] = {name: values.requires_grad_() for name, values in found.items()}
    kept: dict[str, Tensor] = subject.kept[key]
    return kept


def deciders(spec: Spec) -> list[str]:
    """Names of the weights that decide when to halt."""
    found = []
    for name, stream in spec.streams.items():
        if stream.halting is None:
            continue
        if stream.halting.decider is None:
            found += [f"{name}_stream.halt.weight", f"{name}_stream.halt.bias"]
        else:
            found += [f"{stream.halting.decider}_head.output.weight"]
    return found


def model(subject: Subject, case: Case) -> Any:
    """The compiled model with the weights of a case, in its mode."""
    key = ("model", case.seed, case.sharp)
    if key not in subject.kept:
        made: nn.Module = subject.model_class().double()
        values = {name: x.detach() for name, x in weights(subject, case).items()}
        try:
            made.load_state_dict(values)
        except RuntimeError as error:
            message = " ".join(str(error).split())[:300]
            raise Broken(f"the model has other weights: {message}", ("streams",)) from error
        subject.kept[key] = made
    return subject.kept[key].train(case.mode == "train")


def part(model: nn.Module, name: str) -> nn.Module:
    """A module by its documented name; raises Broken where the model has none."""
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise Broken(f"the model has no module `{name}`") from None


@contextmanager
def dry(model: nn.Module) -> Generator[None]:
    """In training: no dropout, and norms by what they keep, as the meaning that is compared."""
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout) and m.training]
    norms = [m for m in model.modules() if hasattr(m, "running_mean") and m.training]
    rates = [drop.p for drop in drops]
    for drop in drops:
        drop.p = 0.0
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for drop, rate in zip(drops, rates, strict=True):
            drop.p = rate
        for norm in norms:
            norm.training = True


def run(subject: Subject, case: Case, gradients: bool = False, targets: bool = True) -> Seen:
    """Run the compiled model on a case."""
    made = model(subject, case)
    seen = Seen({}, None, {}, {}, {})
    with ExitStack() as stack:
        for hook in _hooks(subject, made, seen):
            stack.callback(hook.remove)
        stack.enter_context(dry(made))
        stack.enter_context(torch.set_grad_enabled(gradients))
        out = call(made, case, targets)
    for name in subject.spec.heads:
        value = getattr(out.heads, name, None)
        if value is None:
            raise Broken(f"the model has no output `{name}`", ("heads", name))
        seen.heads[name] = value
    for name in subject.spec.streams:
        if name not in seen.streams:
            raise Broken(f"the stream `{name}` is not run", ("streams", name))
    seen.loss, seen.losses = out.loss, dict(out.losses)
    seen.auxiliary, seen.statistics = dict(out.auxiliary), dict(out.statistics)
    return seen


def call(model: Any, case: Case, targets: bool = True) -> Any:
    """Call a model on a case."""
    lengths = {name: x for name, x in case.batch.lengths.items() if name not in case.untold}
    given = case.batch.targets if targets else None
    return model(**case.batch.tensors, lengths=lengths, targets=given, **case.batch.told)


def _hooks(subject: Subject, made: nn.Module, seen: Seen) -> Iterator[Any]:
    """Hooks that note what enters and leaves the streams, and what the embeddings give."""

    def entering(name: str) -> Any:
        def note(_module: Any, given: Any, named: Any) -> None:
            seen.fused[name] = given[0] if given else next(iter(named.values()))

        return note

    def leaving(name: str) -> Any:
        def note(_module: Any, _given: Any, out: Any) -> None:
            seen.streams[name] = tokens_of(out)

        return note

    def embedded(name: str) -> Any:
        def note(_module: Any, _given: Any, out: Any) -> None:
            seen.embeddings[name] = out

        return note

    for name in subject.spec.streams:
        stack = part(made, f"{name}_stream")
        yield stack.register_forward_pre_hook(entering(name), with_kwargs=True)
        yield stack.register_forward_hook(leaving(name))
    for _, module in embeddings(subject):
        yield part(made, module).register_forward_hook(embedded(module))


def tokens_of(out: Any) -> Tensor:
    """The tokens of what a stream returns: alone, first of several, or those of the last exit."""
    first: Any = out[0] if isinstance(out, tuple) else out
    tokens: Tensor = first[-1] if isinstance(first, list) else first
    return tokens


def embeddings(subject: Subject) -> list[tuple[str, str]]:
    """Every modality with the module that embeds it, once for each stream that reads it."""
    graph = wiring(subject)
    return [
        (name, embedding_name(graph, name, reader))
        for name in subject.spec.modalities
        for reader in graph.readers(name)
    ]


def _without(settings: Any) -> Any:
    """Settings of a stream or sub-layer, without dropout."""
    return settings.model_copy(update={"dropout": 0.0} if hasattr(settings, "dropout") else {})


def without_dropout(spec: Spec) -> Spec:
    """The same spec, nothing of which is dropped in training."""
    streams = {name: changed(one, _without) for name, one in spec.streams.items()}
    inputs = {name: one.dry() for name, one in spec.modalities.items()}
    return spec.model_copy(update={"streams": streams, "modalities": inputs})


def reference(
    subject: Subject,
    case: Case,
    gradients: bool = False,
    given: Mapping[str, Tensor] | None = None,
    record: bool = False,
) -> Result:
    """The meaning of a case, on the weights given, else its own; record: with what passed."""
    spec = without_dropout(subject.spec)
    batch, w = case.batch, weights(subject, case) if given is None else given
    with torch.set_grad_enabled(gradients):
        told = batch.documents, batch.added
        return run_reference(
            spec, w, batch.tensors, batch.lengths, batch.targets, case.mode, record, *told
        )


def padded(spec: Spec, batch: Inputs, name: str) -> int:
    """Tokens of a modality in the tensors of a batch, padding included."""
    values, modality = batch.tensors[name], spec.modalities[name]
    if values is None:
        return 0
    if isinstance(modality, modalities.Varying):
        return token_count(modality, values.shape[1])
    return max_tokens(modality)


def counted(spec: Spec, batch: Inputs, name: str) -> list[int]:
    """Valid tokens of a modality in each sample."""
    return [token_count(spec.modalities[name], int(n)) for n in batch.lengths[name]]


def valid(subject: Subject, batch: Inputs, stream: str) -> Tensor:
    """Which tokens of a stream's sequence are valid: bool [B, T]."""
    return _valid(subject, batch, wiring(subject).segments[stream])


def valid_source(subject: Subject, batch: Inputs, source: Source) -> Tensor:
    """Which tokens of what a stream reads are valid: bool [B, T]."""
    return _valid(subject, batch, wiring(subject).source_segments(source))


def _valid(subject: Subject, batch: Inputs, segments: Iterable[Segment]) -> Tensor:
    pieces = [torch.zeros(batch.batch, 0, dtype=torch.bool)]
    for segment in segments:
        there = segment.modality or segment.leads
        if there is None:
            pieces.append(torch.ones(batch.batch, segment.count or 0, dtype=torch.bool))
            continue
        most, counts = padded(subject.spec, batch, there), counted(subject.spec, batch, there)
        if segment.leads is not None:
            most = (segment.count or 0) * bool(batch.tensors[there] is not None)
            counts = [(segment.count or 0) * bool(count) for count in counts]
        pieces.append(torch.arange(most) < torch.tensor(counts)[:, None])
    return torch.cat(pieces, 1)


def tokens(subject: Subject, case: Case, seen: Mapping[str, Tensor], stream: str) -> list[Tensor]:
    """The valid tokens of each sample of a stream [n, D]; raises Broken where it holds others."""
    places, found = valid(subject, case.batch, stream), seen[stream]
    if found.shape[:2] != places.shape:
        what = f"stream `{stream}` holds {list(found.shape[:2])} tokens, not {list(places.shape)}"
        raise Broken(what, ("streams", stream, "from"))
    return [row[place] for row, place in zip(found, places, strict=True)]
