"""Who may influence whom in one sample: tokens of every stream by input tokens, by products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.schema.spec import Spec
from mmspec.schema.wiring import resolve
from mmspec.verify.reference.attention import (
    Documents,
    context_pairs_by_head,
    pairs_by_head,
)
from mmspec.verify.reference.layers import setting, steps
from mmspec.verify.reference.modality import made_of, token_count


@dataclass(frozen=True, slots=True)
class Reach:
    """By stream: bool [its valid tokens, valid tokens of all modalities, one after the other].

    A token of a modality stands for the raw values that are its own.
    """

    columns: Mapping[str, slice]
    streams: Mapping[str, Tensor]

    def of(self, stream: str, modality: str) -> Tensor:
        """Tokens of a stream by tokens of a modality."""
        return self.streams[stream][:, self.columns[modality]]


def reach(
    spec: Spec,
    raw: Mapping[str, int],
    documents: Documents,
    training: bool,
    embedded: bool = False,
) -> Reach:
    """The connections in one sample; raw: the length of each modality.

    embedded: with tokens as they are embedded, whatever values each is made of.
    """
    return _Walk(spec, raw, documents, training, embedded).all()


@dataclass(slots=True)
class _Walk:
    spec: Spec
    raw: Mapping[str, int]
    documents: Documents
    training: bool
    embedded: bool

    def all(self) -> Reach:
        """Stream after stream, in an order in which each comes after what it reads."""
        spec, graph = self.spec, resolve(self.spec)
        columns, start = {}, 0
        for name, modality in spec.modalities.items():
            count = token_count(modality, self.raw[name])
            columns[name] = slice(start, start + count)
            start += count
        own = torch.eye(start, dtype=torch.bool)
        if not self.embedded:
            for name, modality in spec.modalities.items():
                own[columns[name], columns[name]] = made_of(modality, self.raw[name])
        found: dict[str, Tensor] = {}
        for name in graph.order:
            sources = [
                found[source.name] if source.is_stream else self._own(source.name, own, columns)
                for source in graph.sources[name]
            ]
            found[name] = self._stream(name, self._fused(name, sources), found)
        return Reach(columns, found)

    def _own(self, name: str, own: Tensor, columns: Mapping[str, slice]) -> Tensor:
        """Tokens of a modality as they are embedded; those that lead them depend on nothing."""
        rows = own[columns[name]]
        lead = sum(self.spec.modalities[name].lead.values()) * bool(self.raw[name])
        return torch.cat([torch.zeros(lead, own.shape[1], dtype=torch.bool), rows])

    def _fused(self, name: str, sources: list[Tensor]) -> Tensor:
        fusion, width = self.spec.streams[name].source, sources[0].shape[1]
        own = torch.zeros(fusion.own_tokens, width, dtype=torch.bool)
        rows = torch.cat([own, *fusion.kept(tuple(sources))])
        if fusion.context is not None:
            seen = context_pairs_by_head(self.spec, name, self.raw, self.documents).any(0)
            rows = rows | _through(seen, torch.cat(sources[1:]))
        pooled = [source for source in fusion.pooled(tuple(sources)) if len(source)]
        if pooled and len(pooled) >= fusion.least:
            rows = rows | _some(torch.cat(pooled))
        return rows

    def _stream(self, name: str, rows: Tensor, others: Mapping[str, Tensor]) -> Tensor:
        config = self.spec.streams[name]
        every = [step for layer in range(config.depth) for step in self._steps(name, layer)]
        halting = config.halting
        for _ in range(halting.most_steps if halting else config.repeat or 1):
            for seen, crossed in every:
                read = [_through(pairs, rows) for pairs in seen]
                for more in (*read, *(_some(others[other]) for other in crossed)):
                    rows = rows | more
        mixed = halting is not None and halting.decides(config.depth, self.training)
        return rows | _some(rows) if mixed else rows

    def _steps(self, name: str, layer: int) -> Iterator[tuple[list[Tensor], list[str]]]:
        """Who sees whom in a layer, and what other streams it reads; what is in parallel is one."""
        place = 0
        for step in steps(setting(self.spec.streams[name], layer)):
            count = sum(part.reads for part in step)
            seen = [
                pairs_by_head(self.spec, name, self.raw, self.documents, layer, place + i).any(0)
                for i in range(count)
            ]
            place += count
            yield seen, [part.cross for part in step if part.cross]


def _some(rows: Tensor) -> Tensor:
    """What any token depends on: [1, inputs]."""
    return rows.any(0, keepdim=True)


def _through(seen: Tensor, rows: Tensor) -> Tensor:
    """What tokens depend on that see others: a product of relations."""
    return (seen.float() @ rows.float()) > 0
