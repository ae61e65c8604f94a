"""The graph of streams: who reads whom, in which order, and which segments each holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmspec.diagnostics import Diagnostic, MmspecError, Span, suggest
from mmspec.schema import fusion as fusions
from mmspec.schema.spec import Spec


@dataclass(frozen=True, slots=True)
class Source:
    """What a stream reads: a stream or a modality."""

    name: str
    is_stream: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens of one modality (`modality` None: `count` latents of a fusion)."""

    name: str
    modality: str | None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """Streams in an order in which each comes after what it reads; sources and segments of each."""

    order: tuple[str, ...]
    sources: dict[str, tuple[Source, ...]]
    segments: dict[str, tuple[Segment, ...]]

    def readers(self, modality: str) -> tuple[str, ...]:
        """Streams that read the modality directly."""
        return tuple(s for s in self.order if Source(modality, False) in self.sources[s])

    def source_segments(self, source: Source) -> tuple[Segment, ...]:
        """Segments that a source brings."""
        return self.segments[source.name] if source.is_stream else (_own(source.name),)


def _own(modality: str) -> Segment:
    return Segment(modality, modality)


def problem(
    spec: Spec,
    code: str,
    message: str,
    *keys: Any,
    help: str = "",  # noqa: A002 - as in Diagnostic
    word: str = "",
) -> MmspecError:
    """A single diagnostic at the value that `keys` lead to, at its key or at a word in or near it.

    word: the last of the keys for the key itself.
    """
    where = ".".join(str(key) for key in keys)
    span = _span_of_word(spec, keys, word) if word else spec.span(*keys)
    return MmspecError((Diagnostic(code, message, span, where, help),))


def _span_of_word(spec: Spec, keys: tuple[Any, ...], word: str) -> Span | None:
    """Where a word stands in the value at `keys`, else in the nearest value around it."""
    if spec.document and word == keys[-1]:
        return spec.document.key_span(*keys)
    lines = spec.document.text.split("\n") if spec.document else []
    pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
    for count in range(len(keys), 0, -1) if lines else ():
        span = spec.span(*keys[:count])
        assert span is not None
        for number in range(span.line, span.end_line + 1):
            line = lines[number - 1]
            first = span.column - 1 if number == span.line else 0
            last = span.end_column - 1 if number == span.end_line else len(line)
            if match := pattern.search(line, first, last):
                return Span(span.path, number, match.start() + 1, number, match.end() + 1)
    return spec.span(*keys)


def resolve(spec: Spec) -> Wiring:
    """Resolve every name in `from` and `of`; raise MmspecError on unknown names and cycles."""
    sources = {stream: tuple(_sources(spec, stream)) for stream in spec.streams}
    order = _order(spec, sources)
    segments: dict[str, tuple[Segment, ...]] = {}
    for stream in order:
        segments[stream] = _segments(spec, stream, sources[stream], segments)
    return Wiring(order, sources, segments)


def _sources(spec: Spec, stream: str) -> Iterator[Source]:
    """A name is the stream of that name, unless it is this stream or there is none."""
    for name in spec.streams[stream].source.of:
        if name in spec.streams and name != stream:
            yield Source(name, True)
        elif name in spec.modalities:
            yield Source(name, False)
        else:
            known = [n for n in {**spec.streams, **spec.modalities} if n != stream]
            close = suggest(name, known)
            text = f"did you mean `{close}`?" if close else f"known: {', '.join(known)}"
            raise problem(
                spec,
                "MM301",
                f"stream `{stream}` reads `{name}`, which is neither a stream nor a modality",
                "streams",
                stream,
                "from",
                help=text,
                word=name,
            )


def _order(spec: Spec, sources: dict[str, tuple[Source, ...]]) -> tuple[str, ...]:
    """Topological order that keeps the spec's order where it can."""
    done: list[str] = []
    path: list[str] = []

    def visit(stream: str) -> None:
        if stream in done:
            return
        if stream in path:
            cycle = " -> ".join([*path[path.index(stream) :], stream])
            raise problem(
                spec,
                "MM302",
                f"the streams read each other in a circle: {cycle}",
                "streams",
                stream,
                "from",
                help="a stream reads streams that do not depend on it",
            )
        path.append(stream)
        for source in sources[stream]:
            if source.is_stream:
                visit(source.name)
        path.pop()
        done.append(stream)

    for stream in spec.streams:
        visit(stream)
    return tuple(done)


def _segments(
    spec: Spec,
    stream: str,
    sources: tuple[Source, ...],
    known: dict[str, tuple[Segment, ...]],
) -> tuple[Segment, ...]:
    fusion = spec.streams[stream].source
    if isinstance(fusion, fusions.Latents):
        return (Segment(stream, None, fusion.queries),)
    kept = sources[:1] if isinstance(fusion, fusions.CrossAttention) else sources
    found = [s for x in kept for s in (known[x.name] if x.is_stream else (_own(x.name),))]
    names = [segment.name for segment in found]
    for name in names:
        if names.count(name) > 1:
            raise problem(
                spec,
                "MM303",
                f"stream `{stream}` would hold the tokens of `{name}` twice",
                "streams",
                stream,
                "from",
                help="let one stream read them, or use a cross-attention fusion",
            )
    return tuple(found)
