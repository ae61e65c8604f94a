"""P3 and P29: attention reads what the text of the masks shows; tokens stand in its order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.schema.scores import Scores
from mmspec.verify.lab import lab, reading
from mmspec.verify.lab.case import Case, cases, shortened, widest
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.masks import Places
from mmspec.verify.lab.search import tried
from mmspec.verify.lab.site import Site, watch
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.reference.modality import token_count
from mmspec.verify.reference.scores import added, learned
from mmspec.verify.strategies import inputs
from mmspec.verify.subject import Subject

_MOST = 600
"""Tokens up to which masks are tried."""


@st.composite
def _long(draw: st.DrawFn, subject: Subject) -> Case:
    """A case of sequences long enough for every mask of the spec to show and to hide."""
    spec = shortened(subject.spec, min(_MOST, 2 * widest(subject.spec) + 12))
    return Case(draw(inputs(spec, (1, 2), ragged=draw(st.sampled_from((True, False))))), "train")


def _values_alone(site: Site, projected: Tensor) -> Tensor:
    """With queries and keys of 0: what is read is a mean by what is added to scores."""
    only = torch.zeros_like(projected)
    site.values(only).copy_(site.values(projected))
    return only


def _counts(subject: Subject, case: Case, sample: int | None, reader: str = "") -> dict[str, int]:
    """Tokens of every segment: valid ones of a sample, or (None) those in the tensors.

    What the fusion of `reader` reads by that stream's own name is a modality, not its latents.
    """
    spec, found = subject.spec, {}
    for name, modality in spec.modalities.items():
        if sample is None:
            found[name] = lab.padded(spec, case.batch, name)
        else:
            found[name] = token_count(modality, int(case.batch.lengths[name][sample]))
        for lead, count in modality.lead.items():
            found[f"{name}.{lead}"] = count * bool(found[name])
    for name, stream in spec.streams.items():
        if stream.source.own_tokens and name != reader:
            found[name] = stream.source.own_tokens
    return found


def _shown(subject: Subject, site: Site, case: Case, sample: int) -> torch.Tensor:
    """Who sees whom at a site in a sample by the spec's text: bool [heads, n, m]."""
    data, stream = subject.document.data, site.stream
    if site.kind == "cross":
        counted = (int(side.sum()) for side in _places(subject, case, site, sample))
        return torch.ones(site.heads, *counted, dtype=torch.bool)
    counts = _counts(subject, case, sample, stream if site.kind == "latents" else "")
    of = [reading.of_source(data, name, stream) for name in reading.names(data, stream)]
    if site.kind in ("latents", "all"):
        total = sum(counts[name] for names in of for name in names)
        latents = subject.spec.streams[stream].source.own_tokens
        rows = latents if site.kind == "latents" else total
        return torch.ones(site.heads, rows, total, dtype=torch.bool)

    def held(names: list[str]) -> dict[str, Places]:
        return {name: _held(subject, case, sample, (name, counts[name])) for name in names}

    if site.kind == "own":
        queries = keys = held(reading.segments(data, stream))
        said = reading.attention(data, stream, site.layer, site.place)
    else:
        queries, keys = held(of[0]), held([name for names in of[1:] for name in names])
        said = reading.layer(data, stream, site.layer)["from"]
    shown = reading.by_head(said.get("attention", "full"), site.heads, queries, keys, data)
    return torch.from_numpy(shown)


def _shares(subject: Subject, site: Site, case: Case, sample: int) -> torch.Tensor:
    """What a query reads of each key at a site where q k is 0, 0 where it sees none: [H, n, m]."""
    shown = _shown(subject, site, case, sample).double()
    kind = subject.spec.streams[site.stream].layer(site.layer)
    said = kind.attentions[site.place].of.scores if site.kind == "own" else None
    if said is not None:
        counts = _counts(subject, case, sample)
        names = reading.segments(subject.document.data, site.stream)
        runs = tuple((name, counts[name]) for name in names)
        numbers = _numbers(subject, site, case, said) if learned(said) else None
        shown = shown * torch.stack(added(said, site.heads, runs, numbers)).exp()
    if site.sunk:
        return shown / (1 + shown.sum(2, keepdim=True))
    return shown / shown.sum(2, keepdim=True).clamp(min=torch.finfo(shown.dtype).tiny)


def _numbers(subject: Subject, site: Site, case: Case, said: Scores) -> Tensor:
    """What was learned for distances [m, H]: by the layer, or by all of the stream."""
    inner = f"{site.stream}_stream" if said.tied else site.projection.rpartition(".")[0]
    return lab.weights(subject, case)[f"{inner}.relative.weight"]


def _held(subject: Subject, case: Case, sample: int, run: tuple[str, int]) -> Places:
    """How the tokens of a segment stand in a sample; run: its name and how many there are."""
    (name, count), data = run, subject.document.data
    if name in data["streams"] and reading.keeps(data, name) == "none":
        return Places(count, count)
    ids = case.batch.documents.get(name)
    documents = None if ids is None else ids[sample, :count].numpy()
    return reading.places(data, name, count, documents)


def _places(subject: Subject, case: Case, site: Site, sample: int) -> tuple[Tensor, Tensor]:
    """Valid queries and keys of a site in one sample, among the tokens that it holds."""
    data, stream = subject.document.data, site.stream
    of = [reading.of_source(data, name, stream) for name in reading.names(data, stream)]
    held = reading.segments(data, stream)
    if site.kind == "own":
        queries = keys = held
    elif site.kind == "cross":
        other = reading.crosses(data, stream, site.layer)[site.place]
        queries, keys = held, reading.segments(data, other)
    elif site.kind == "context":
        queries, keys = of[0], [name for names in of[1:] for name in names]
    else:
        keys = [name for names in of for name in names]
        queries = held
    padded, valid = _counts(subject, case, None), _counts(subject, case, sample)
    reader = stream if site.kind == "latents" else ""
    read = _counts(subject, case, None, reader), _counts(subject, case, sample, reader)
    return _valid(queries, padded, valid), _valid(keys, *read)


def _valid(names: list[str], padded: Mapping[str, int], valid: Mapping[str, int]) -> Tensor:
    pieces = [torch.arange(padded[name]) < valid[name] for name in names]
    return torch.cat([torch.zeros(0, dtype=torch.bool), *pieces])


def _mean(site: Site, values: Tensor, shares: Tensor) -> Tensor:
    """The mean of the values [m, KV, w] that each query reads, by head [n, H, w]."""
    by_head = values[:, [site.key_head(head) for head in range(site.heads)]]
    return torch.einsum("hnm,mhw->nhw", shares, by_head)


def _masked(subject: Subject, case: Case) -> None:
    for site, read in watch(subject, case, _values_alone, equal=True):
        for values, output in zip(read.values, read.outputs, strict=True):
            for sample in range(case.batch.batch):
                _compare(subject, case, (site, sample), values[sample], output[sample])


def _compare(
    subject: Subject, case: Case, at: tuple[Site, int], values: Tensor, found: Tensor
) -> None:
    """Raise Broken where a sample's values [m, KV, w] were not read [n, H, w] as the text says."""
    site, sample = at
    queries, keys = _places(subject, case, site, sample)
    if len(queries) != len(found) or len(keys) != len(values):
        held = f"{len(found)} queries and {len(values)} keys"
        said = f"`{site.output}` holds {held}, the spec's text {len(queries)}, {len(keys)}"
        raise Broken(said, ("streams", site.stream))
    shares = _shares(subject, site, case, sample)
    wrong = difference(found[queries], _mean(site, values[keys], shares))
    if wrong is not None:
        what = f"with equal scores, what `{site.output}` reads in sample {sample} {wrong}"
        said = f"{what} (query, head, feature): not the mean of what the mask shows"
        raise Broken(said, site.keys)


def _assembled(subject: Subject, case: Case) -> None:
    """A concat starts from the tokens of what its `from` names, in that order."""
    data = subject.document.data
    case = replace(case, mode="train")
    seen = lab.run(subject, case, targets=False)
    for stream in subject.spec.streams:
        if reading.fusion(data, stream) != "concat":
            continue
        parts = [_tokens(subject, case, seen, stream, n) for n in reading.names(data, stream)]
        if any(part is None for part in parts):
            continue
        expected = torch.cat([part for part in parts if part is not None], 1)
        wrong = difference(seen.fused[stream], expected)
        if wrong is not None:
            said = f"the tokens of stream `{stream}` are not those its `from` names, in that order"
            raise Broken(
                f"{said}: one {wrong} (sample, token, feature)", ("streams", stream, "from")
            )


def _tokens(subject: Subject, case: Case, seen: lab.Seen, stream: str, name: str) -> Tensor | None:
    """The tokens that a source brings to a stream; None where another width comes between."""
    data, spec = subject.document.data, subject.spec
    width = spec.streams[stream].width
    if reading.is_stream(data, name, stream):
        return seen.streams[name] if spec.streams[name].width == width else None
    if case.batch.tensors[name] is None:
        return torch.zeros(case.batch.batch, 0, width, dtype=torch.float64)
    for module in (f"{name}_embedding", f"{name}_embedding_{stream}"):
        if module in seen.embeddings:
            return seen.embeddings[module]
    return None


def _joins(subject: Subject) -> str | None:
    data = subject.document.data
    for stream in subject.spec.streams:
        if reading.fusion(data, stream) == "concat":
            return None
    return "no stream is a concat"


P3 = Law(
    "P3",
    "mask oracle",
    "attention reads exactly the pairs that the masks' text shows, evaluated point by point",
    tried(_masked, _long, most=20),
)
P29 = Law(
    "P29",
    "assembly order",
    "a stream's sequence holds the tokens of what its `from` names, in that order",
    tried(_assembled, cases, most=20),
    _joins,
)
