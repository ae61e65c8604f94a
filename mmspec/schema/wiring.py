"""The graph of streams: who reads whom, in which order, and which segments each holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmspec.diagnostics import Diagnostic, MmspecError, Span, listed, suggest
from mmspec.schema.spec import Spec


@dataclass(frozen=True, slots=True)
class Source:
    """What a stream reads: a stream or a modality."""

    name: str
    is_stream: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens of one modality (`modality` None: `count` learned ones).

    leads: of learned tokens in front of a modality's, that modality; None: latents of a fusion.
    """

    name: str
    modality: str | None
    count: int | None = None
    leads: str | None = None


@dataclass(frozen=True)
class Wiring:
    """Streams in an order in which each comes after what it reads; sources and segments of each.

    Sources are what a stream starts from; what its layers read besides is `crossed`.
    """

    order: tuple[str, ...]
    sources: dict[str, tuple[Source, ...]]
    segments: dict[str, tuple[Segment, ...]]
    crossed: dict[str, tuple[str, ...]]
    """The streams that the layers of each read by `cross`."""
    embedded: dict[str, tuple[Segment, ...]]
    """What each modality brings: what leads its tokens, and these."""

    @cached_property
    def _readers(self) -> dict[Source, tuple[str, ...]]:
        found: dict[Source, list[str]] = {}
        for stream in self.order:
            read = (Source(name, True) for name in self.crossed[stream])
            for source in dict.fromkeys((*self.sources[stream], *read)):
                found.setdefault(source, []).append(stream)
        return {source: tuple(streams) for source, streams in found.items()}

    def readers(self, name: str, is_stream: bool = False) -> tuple[str, ...]:
        """Streams that read the modality, or the stream, of that name directly."""
        return self._readers.get(Source(name, is_stream), ())

    def source_segments(self, source: Source) -> tuple[Segment, ...]:
        """Segments that a source brings."""
        return self.segments[source.name] if source.is_stream else self.embedded[source.name]


def _embedded(spec: Spec, modality: str) -> tuple[Segment, ...]:
    leads = spec.modalities[modality].lead.items()
    found = (Segment(f"{modality}.{name}", None, count, modality) for name, count in leads)
    return *found, Segment(modality, modality)


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
    """Resolve every name in `from`, `of` and `cross`; MmspecError on unknown names and cycles."""
    sources = {stream: tuple(_sources(spec, stream)) for stream in spec.streams}
    crossed = {stream: _crossed(spec, stream) for stream in spec.streams}
    read = {
        stream: (*every, *(Source(name, True) for name in crossed[stream]))
        for stream, every in sources.items()
    }
    order = _order(spec, read)
    segments: dict[str, tuple[Segment, ...]] = {}
    embedded = {name: _embedded(spec, name) for name in spec.modalities}
    for stream in order:
        segments[stream] = _segments(spec, stream, sources[stream], (segments, embedded))
    return Wiring(order, sources, segments, crossed, embedded)


def _sources(spec: Spec, stream: str) -> Iterator[Source]:
    """A name is the stream of that name, unless it is this stream or there is none."""
    for name in spec.streams[stream].source.of:
        if name in spec.streams and name != stream:
            yield Source(name, True)
        elif name in spec.modalities:
            yield Source(name, False)
        else:
            taken = {*_after(spec, stream), *spec.streams[stream].source.of}
            taken |= {stream} - spec.modalities.keys()
            known = [n for n in {**spec.streams, **spec.modalities} if n not in taken]
            close = suggest(name, known)
            text = f"did you mean `{close}`?" if close else f"known: {listed(known)}"
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


def _crossed(spec: Spec, stream: str) -> tuple[str, ...]:
    """The streams that the layers of a stream read, each once."""
    crosses = [one for one in spec.streams[stream].every if one.cross]
    for one in crosses:
        if one.cross in spec.streams and one.cross != stream:
            continue
        at = spec.written("streams", stream, *one.at, "cross")
        message = f"stream `{stream}` reads `{one.cross}` by `cross`, which is no other stream"
        if one.cross in spec.modalities and one.cross != stream:
            advice = f"let a stream read the modality, `{{from: {one.cross}, ...}}`, and name that"
        else:
            taken = {stream, *_after(spec, stream)}
            known = [name for name in spec.streams if name not in taken]
            close = suggest(one.cross, known)
            advice = f"did you mean `{close}`?" if close else f"streams: {listed(known)}"
            advice = advice if known else "add a stream that it can read"
        raise problem(spec, "MM301", message, *at, help=advice)
    return tuple(dict.fromkeys(one.cross for one in crosses))


def _after(spec: Spec, stream: str) -> set[str]:
    """Streams that read a stream, or one that does: it can read none of them."""
    readers: dict[str, list[str]] = {}
    for name, each in spec.streams.items():
        for source in (*each.source.of, *(one.cross for one in each.every if one.cross)):
            readers.setdefault(source, []).append(name)
    found, left = set[str](), [stream]
    while left:
        new = [name for name in readers.get(left.pop(), ()) if name not in found]
        found.update(new)
        left += new
    return found - {stream}


def _order(spec: Spec, sources: dict[str, tuple[Source, ...]]) -> tuple[str, ...]:
    """Topological order that keeps the spec's order where it can.

    Depth first, on a stack of its own: `path` holds the streams that are being read, each with
    the sources that are still to be looked at.
    """
    done: dict[str, None] = {}
    for first in spec.streams:
        path = {first: iter(sources[first])} if first not in done else {}
        while path:
            stream = next(reversed(path))
            source = next((x for x in path[stream] if x.is_stream and x.name not in done), None)
            if source is None:
                done[stream] = None
                path.popitem()
            elif source.name in path:
                raise _cycle(spec, (*path, source.name))
            else:
                path[source.name] = iter(sources[source.name])
    return tuple(done)


def _cycle(spec: Spec, path: tuple[str, ...]) -> MmspecError:
    """Streams that read each other, from the first to itself."""
    circle = list(path[path.index(path[-1]) :])
    shown = [*circle[:4], "...", *circle[-2:]] if len(circle) > 8 else circle
    crosses = (one for one in spec.streams[circle[0]].every if one.cross == circle[1])
    cross = next(crosses, None) if circle[1] not in spec.streams[circle[0]].source.of else None
    at = ("from",) if cross is None else (*cross.at, "cross")
    return problem(
        spec,
        "MM302",
        f"the streams read each other in a circle: {' -> '.join(shown)}",
        *spec.written("streams", circle[0], *at),
        help="a stream reads streams that do not depend on it",
    )


def _segments(
    spec: Spec,
    stream: str,
    sources: tuple[Source, ...],
    known: tuple[dict[str, tuple[Segment, ...]], dict[str, tuple[Segment, ...]]],
) -> tuple[Segment, ...]:
    fusion = spec.streams[stream].source
    if fusion.own_tokens:
        return (Segment(stream, None, fusion.own_tokens),)
    streams, modalities = known
    found = [
        segment
        for x in fusion.kept(sources)
        for segment in (streams if x.is_stream else modalities)[x.name]
    ]
    seen = set[str]()
    for name in (segment.name for segment in found):
        if name in seen:
            raise problem(
                spec,
                "MM303",
                f"stream `{stream}` would hold the tokens of `{name}` twice",
                "streams",
                stream,
                "from",
                help="let one stream read them, or use a cross-attention fusion",
            )
        seen.add(name)
    return tuple(found)
