"""The whole model: streams in order, then heads and losses, each sample alone where it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from mmspec.schema import head as heads
from mmspec.schema.attention import Attention
from mmspec.schema.check import token_segment
from mmspec.schema.objective import Objective
from mmspec.schema.pool import leads, mark
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import Source, Wiring, resolve
from mmspec.verify.reference import (
    fusion,
    halting,
    head,
    modality,
    objective,
    packing,
    path,
    routing,
    stream,
    told,
)
from mmspec.verify.reference.arithmetic import INPUT, Passed, Weights, linear
from mmspec.verify.reference.layers import attending, crossing, feeding, setting
from mmspec.verify.reference.places import Layout
from mmspec.verify.reference.sequence import Run, Sequence, joined, with_tokens
from mmspec.verify.reference.shapes import embedding_name

Mode = Literal["train", "eval"]
Inputs = Mapping[str, Tensor | None]


@dataclass(frozen=True, slots=True)
class Result:
    """What the emitted model returns, and a trace; see the package's docstring."""

    heads: dict[str, Tensor]
    loss: Tensor | None
    losses: dict[str, Tensor]
    auxiliary: dict[str, Tensor]
    statistics: dict[str, Tensor]
    trace: dict[str, tuple[Tensor, ...]]
    passed: dict[str, list[list[Tensor]]] = field(default_factory=dict)


def run(
    spec: Spec,
    weights: Mapping[str, Tensor],
    inputs: Inputs,
    lengths: Mapping[str, Tensor] | None = None,
    targets: Mapping[str, Tensor] | None = None,
    mode: Mode = "eval",
    record: bool = False,
    documents: Mapping[str, Tensor] | None = None,
    added: Mapping[str, Tensor] | None = None,
) -> Result:
    """The meaning of a batch; a modality without `lengths` is wholly present in every sample."""
    dropouts = [one.of.dropout for s in spec.streams.values() for one in s.every]
    dropouts += [one.drops for one in spec.modalities.values()]
    assert mode == "eval" or not any(dropouts), "dropout"
    told = lengths or {}, documents or {}, added or {}
    meaning = _Meaning(spec, Weights(weights), inputs, *told, mode == "train", record)
    passed = Passed(meaning.batch)
    if record:
        meaning.weights = replace(meaning.weights, passed=passed)
    for name in meaning.wiring.order:
        meaning.add_stream(name)
    outputs = {name: meaning.head(name) for name in spec.heads}
    losses = {n: meaning.loss(n, outputs[n], target) for n, target in (targets or {}).items()}
    total = None
    if losses:
        objectives = {name: spec.objectives.get(name, Objective()) for name in losses}
        total = torch.zeros((), dtype=torch.float64)
        total = total + sum(objectives[name].weight * loss for name, loss in losses.items())
        total = total + sum(meaning.auxiliary.values())
    return Result(
        outputs,
        total,
        losses,
        meaning.auxiliary,
        meaning.statistics,
        meaning.trace,
        passed.values,
    )


def _masks(kind: Stream) -> dict[str, tuple[Attention, int]]:
    """What each sub-layer of a layer sees, and how many heads it has."""
    return {part.name: (part.of.attention, part.of.heads) for part in attending(kind)}


@dataclass(slots=True)
class _Meaning:
    """What has been worked out so far for a batch."""

    spec: Spec
    weights: Weights
    inputs: Inputs
    lengths: Mapping[str, Tensor]
    documents: Mapping[str, Tensor]
    added: Mapping[str, Tensor]
    training: bool
    record: bool
    sequences: dict[str, list[Sequence]] = field(default_factory=dict)
    outcomes: dict[str, list[halting.Outcome]] = field(default_factory=dict)
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    statistics: dict[str, Tensor] = field(default_factory=dict)
    trace: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)

    @property
    def wiring(self) -> Wiring:
        """The graph of streams."""
        return resolve(self.spec)

    @property
    def batch(self) -> int:
        """Samples in the batch."""
        return next(
            len(x) for x in (*self.inputs.values(), *self.lengths.values()) if x is not None
        )

    def length(self, name: str, sample: int) -> int:
        """Raw length of a modality in a sample, 0 where it is absent."""
        values = self.inputs.get(name)
        if values is None:
            return 0
        if name in self.lengths:
            return int(self.lengths[name][sample])
        return values.shape[1] if self.spec.modalities[name].varies else 1

    def add_stream(self, name: str) -> None:
        """Run stream `name` over every sample, and note what is counted over the batch."""
        config = self.spec.streams[name]
        told: dict[str, list[Tensor]] = {}
        self.sequences[name], self.outcomes[name] = [], []
        fused_samples = []
        for sample in range(self.batch):
            if self.weights.passed is not None:
                self.weights.passed.sample = sample
            sources = [self._source(name, source, sample) for source in self.wiring.sources[name]]
            joins, runs = (self.weights.at(f"{name}_{module}") for module in ("fusion", "stream"))
            fused, said = fusion.fuse(name, config, joins, sources)
            runs.note(joins.note(joined(fused)), INPUT)
            outcome = self._run(name, fused, sample)
            runs.note(outcome.tokens)
            fused_samples.append(joined(fused))
            for key, value in said.items():
                told.setdefault(key, []).append(value)
            self.outcomes[name].append(outcome)
            self.sequences[name].append(with_tokens(fused, outcome.tokens))
        self.statistics |= {f"{name}.{key}": torch.stack(rows) for key, rows in told.items()}
        self._note_routing(name)
        self._note_halting(name)
        self._note_trace(name, fused_samples)

    def _source(self, name: str, source: Source, sample: int) -> Sequence:
        """The tokens of one source in one sample, brought to the width of stream `name`."""
        width = self.spec.streams[name].width
        if source.is_stream:
            found = self.sequences[source.name][sample]
            steps = self.spec.streams[name].source.through.get(source.name, ())
            projection = self.weights.at(f"{source.name}_to_{name}")
            if steps:
                made = path.run(steps, projection, joined(found), True, True)
                return with_tokens(found, projection.note(made))
            if self.spec.streams[source.name].width == width:
                return found
            return with_tokens(found, projection.note(linear(joined(found), projection)))
        config, length = self.spec.modalities[source.name], self.length(source.name, sample)
        tokens = torch.zeros(0, width, dtype=torch.float64)
        ids, places = self._documents(source.name, sample), self._places(source.name, sample)
        w = self.weights.at(embedding_name(self.wiring, source.name, name))
        if length:
            values = self.inputs[source.name]
            assert values is not None
            added = {
                name: self.added[f"{source.name}.{name}"][sample]
                for name in config.add
                if f"{source.name}.{name}" in self.added
            }
            owner = getattr(config, "tied", None)
            table = None if owner is None else self._table(owner)
            tokens = modality.embed(config, w, values[sample], length, (places, added), table)
        tokens = w.note(tokens)
        turns, runs = places if config.position.kind == "rotary" else (), []
        for lead, count in config.lead.items():
            first, tokens = tokens[:count], tokens[count:]
            runs.append(Run(f"{source.name}.{lead}", first, Layout(count)))
        return (*runs, Run(source.name, tokens, modality.layout(config), ids, turns))

    def _documents(self, name: str, sample: int) -> tuple[int, ...]:
        """The document of each token of a modality, none where no documents are given."""
        if name not in self.documents:
            return ()
        count = modality.token_count(self.spec.modalities[name], self.length(name, sample))
        return tuple(self.documents[name][sample, :count].tolist())

    def _places(self, name: str, sample: int) -> tuple[int, ...]:
        """The position of each token of a modality: in its document where documents stay apart."""
        ids = self._documents(name, sample)
        if ids and name in packing.separate(self.spec):
            return packing.places(ids)
        count = modality.token_count(self.spec.modalities[name], self.length(name, sample))
        return tuple(range(count))

    def _run(self, name: str, fused: Sequence, sample: int) -> halting.Outcome:
        config, w = self.spec.streams[name], self.weights.at(f"{name}_stream")
        layers = [setting(config, i) for i in range(config.depth)]
        read = {part.cross for kind in layers for part in crossing(kind)}
        others = {other: joined(self.sequences[other][sample]) for other in read}
        numbers = w["relative.weight"] if stream.common_shapes(config) else None
        made = {
            id(kind): stream.place_of(fused, _masks(kind), others=others, numbers=numbers)
            for kind in layers
        }
        places = [made[id(kind)] for kind in layers]
        decider = config.halting.decider if config.halting else None
        blocks = halting.Blocks(config, w, places)

        def classify(x: Tensor) -> Tensor:
            assert decider is not None, name
            (pool,) = self.spec.heads[decider].pools
            return self._read(decider, self._pooled(pool, with_tokens(fused, x), sample))

        return halting.run(joined(fused), blocks, self.training, classify)

    def _note_routing(self, name: str) -> None:
        """Balance and load over the batch, of every layer as often as it ran."""
        config = self.spec.streams[name]
        kinds = (setting(config, i) for i in range(config.depth))
        every = [part.of.feed_forward for kind in kinds for part in feeding(kind)]
        outcomes = [outcome.notes.routed for outcome in self.outcomes[name]]
        rows = [
            [routed[row] for routed in outcomes if row < len(routed)]
            for row in range(max(map(len, outcomes)))
        ]
        statistics, auxiliary = routing.told(every, rows)
        self.statistics |= {f"{name}.{key}": value for key, value in statistics.items()}
        self.auxiliary |= {f"{name}.{key}": value for key, value in auxiliary.items()}

    def _note_halting(self, name: str) -> None:
        """What haltings tell of each sample, and the means of what they ask for."""
        outcomes = self.outcomes[name]
        for key in outcomes[0].statistics:
            told = torch.stack([outcome.statistics[key] for outcome in outcomes])
            self.statistics[f"{name}.{key}"] = told
        for key in outcomes[0].auxiliary:
            asked = torch.stack([outcome.auxiliary[key] for outcome in outcomes])
            self.auxiliary[f"{name}.{key}"] = asked.mean()

    def _note_trace(self, name: str, fused: list[Tensor]) -> None:
        outcomes = self.outcomes[name]
        self.trace[f"{name}.fused"] = tuple(fused)
        self.trace[f"{name}.tokens"] = tuple(o.tokens for o in outcomes)
        layers = max(len(o.notes.weights) for o in outcomes) if self.record else 0
        for i in range(layers):
            ran = (o.notes.weights for o in outcomes)
            self.trace[f"{name}.{i}"] = tuple(w[i] for w in ran if i < len(w))

    def _read(self, name: str, x: Tensor) -> Tensor:
        """A pooled head's output for one sample."""
        return head.read(self.spec.heads[name], self.weights.at(f"{name}_head"), x)

    def _pooled(self, pool: str, sequence: Sequence, sample: int) -> Tensor:
        """The tokens of a stream that a head pools."""
        led = [run for run in sequence if "." in run.segment]
        if read := leads(pool):
            return joined(tuple(run for run in led if run.segment.split(".")[1] in read))
        own = tuple(run for run in sequence if run not in led)
        if (number := mark(pool)) is None:
            return joined(own)
        ids = self.inputs[own[0].segment]
        found = [] if ids is None else ids[sample, : own[0].count].tolist()
        return own[0].tokens[[t for t, each in enumerate(found) if each == number]]

    def _sides(self, name: str) -> list[list[Tensor]]:
        """Of each stream that a head pools, those tokens by sample."""
        head = self.spec.heads[name]
        return [
            [self._pooled(pool, run, x) for x, run in enumerate(self.sequences[stream])]
            for stream, pool in zip(heads.sources(head), head.pools, strict=True)
        ]

    def _tokens(self, name: str, segment: str | None = None) -> list[Tensor]:
        """The tokens of a stream by sample, or of a segment of it."""
        if segment is None:
            return [joined(sequence) for sequence in self.sequences[name]]
        return [
            next(run.tokens for run in sequence if run.segment == segment)
            for sequence in self.sequences[name]
        ]

    def head(self, name: str) -> Tensor:
        """A head's output for the batch."""
        config, w = self.spec.heads[name], self.weights.at(f"{name}_head")
        segment, table, padded = self._segment(config), torch.zeros(0), 0
        if segment is not None:
            table = w["output.weight"] if not config.is_tied else self._table(segment)
            values = self.inputs.get(segment)
            padded = 0 if values is None else values.shape[1]
        if config.pools:
            sides = self._sides(name)
            if len(sides) == 1:
                return torch.stack([self._read(name, x) for x in sides[0]])
        else:
            sides = [self._tokens(stream, segment) for stream in heads.sources(config)]
        return head.answer(config, w, sides, table, padded)

    def _segment(self, config: heads.Head) -> str | None:
        """The segment whose next tokens a head says."""
        return token_segment(self.spec, self.wiring, config)

    def _table(self, segment: str) -> Tensor:
        segment = getattr(self.spec.modalities[segment], "tied", None) or segment
        (reader,) = self.wiring.readers(segment)
        return self.weights[f"{embedding_name(self.wiring, segment, reader)}.table.weight"]

    def loss(self, name: str, output: Tensor, target: Tensor) -> Tensor:
        """The unweighted loss of a head."""
        config = self.spec.heads[name]
        streams, segment = heads.sources(config), self._segment(config)
        if segment is not None and self.spec.loss_of(name) == "masked":
            lengths = [len(self._places(segment, x)) for x in range(self.batch)]
            return objective.masked(output, target, lengths)
        if segment is not None:
            rows = [self._carrying(streams[0], segment, x) for x in range(self.batch)]
            return objective.next_token(output, target, rows)
        if config.matches:
            sides = [self._tokens(stream) for stream in streams]
            both = [bool(len(a) and len(b)) for a, b in zip(*sides, strict=True)]
            return objective.contrastive(output, both)
        if not config.labels:
            return objective.mean_squared_error(output, target)
        return self._classification(name, streams[0], output, target)

    def _carrying(self, stream: str, segment: str, sample: int) -> list[int]:
        """Positions whose next token is there, unseen, and in the same document if those part."""
        places = self._places(segment, sample)
        begins, count = [k - place for k, place in enumerate(places)], len(places)
        seen = {b: told.told(self.spec, stream, segment, count, b) for b in set(begins)}
        following = ((k, begin) for k, begin in enumerate(begins) if k > begin)
        return [k - 1 for k, begin in following if k not in seen[begin]]

    def _classification(self, name: str, stream: str, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy; of a head with exits in training, the mean over the exits."""
        smoothing = self.spec.objectives.get(name, Objective()).smoothing
        passed = [o.exits for o in self.outcomes[stream]]
        if not self.training or not any(passed):
            return objective.cross_entropy(output, target, smoothing)
        losses = []
        for exits in zip(*passed, strict=True):
            (pool,), read = self.spec.heads[name].pools, []
            for sample, x in enumerate(exits):
                sequence = with_tokens(self.sequences[stream][sample], x)
                read.append(self._pooled(pool, sequence, sample))
            logits = torch.stack([self._read(name, x) for x in read])
            losses.append(objective.cross_entropy(logits, target, smoothing))
        return objective.mean(losses)
