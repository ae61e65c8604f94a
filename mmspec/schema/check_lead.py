"""Learned tokens in front of a modality's: names that are free, and who does without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmspec.diagnostics import MmspecError, listed
from mmspec.expressions import mask as masks
from mmspec.expressions.scanner import did_you_mean
from mmspec.schema import head as heads
from mmspec.schema.attention import Attention
from mmspec.schema.pool import POOLS, leads, mark
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Segment, Wiring, problem

Segments = tuple[Segment, ...]


def of_all(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with tokens in front, and with who reads them."""
    for rule in (_of_modalities, _of_streams, _of_heads):
        yield from rule(spec, wiring)


def _of_modalities(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What leads a modality is called as nothing else is, once its dot is a `_`."""
    for name, modality in spec.modalities.items():
        for lead in modality.lead:
            joined = f"{name}_{lead}"
            if joined in spec.modalities or joined in spec.streams:
                message = f"`{name}.{lead}` would be called `{joined}`, which is something else"
                at = ("modalities", name, "lead", lead)
                yield problem(spec, "MM331", message, *at, help="rename one of them", word=lead)
            if lead in POOLS:
                at = ("modalities", name, "lead", lead)
                message = f"`{lead}` is a pool of heads, which take lead tokens by their names"
                yield problem(spec, "MM331", message, *at, help="rename it, as to cls", word=lead)


def _of_streams(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """Documents have no token of their own in front; weights by segment are for none of them."""
    for name, stream in spec.streams.items():
        led = [segment for segment in wiring.segments[name] if segment.leads]
        for one in stream.every if led else ():
            at = spec.written("streams", name, *one.at)
            if one.word == "feed_forward" and one.of.feed_forward.split:
                message = f"weights by modality, and `{led[0].name}` is of none yet"
                help_ = "write another feed-forward, or leave `lead` out"
                yield problem(spec, "MM331", message, *at, "feed_forward", help=help_)
            if one.word == "attention":
                yield from _documents(spec, one.of.attention, led, (*at, "attention"))


def _documents(
    spec: Spec, attention: Attention, led: list[Segment], at: tuple[Any, ...]
) -> Iterator[MmspecError]:
    """Raised where packed documents would share the tokens in front."""
    behind = {segment.leads for segment in led}
    for _, one in attention.by_heads(1):
        for pair, mask in (one.pairs or {}).items():
            if masks.is_packed(mask) and behind & {*pair}:
                message = "packed documents would share the tokens that lead them"
                help_ = "leave `lead` out, or give each sample one document"
                yield problem(spec, "MM331", message, *at, help=help_, word="document")
                return


def _of_heads(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What a head takes by name or id is one token of a stream that it reads."""
    for name, head in spec.heads.items():
        at = ("heads", name, "pool")
        by_stream = getattr(head, "pool", "")
        for each in by_stream if isinstance(by_stream, dict) else ():
            if each in heads.sources(head):
                continue
            advice = f"streams: {listed(heads.sources(head))}"
            message = f"head `{name}` does not read `{each}`"
            yield problem(spec, "MM331", message, *at, each, help=advice, word=each)
        for stream, pool in zip(heads.sources(head), head.pools, strict=False):
            if stream in spec.streams:
                segments = wiring.segments[stream]
                wrong = _unmarked(spec, pool, segments) or _unled(pool, segments)
                if wrong is not None:
                    message, advice = f"{wrong[0]} of stream `{stream}`", wrong[1]
                    yield problem(spec, "MM331", message, *at, help=advice)


def _unmarked(spec: Spec, pool: str, segments: Segments) -> tuple[str, str] | None:
    """Why no token is taken by its id, and what to write."""
    number = mark(pool)
    if number is None:
        return None
    own = [segment.modality for segment in segments if not segment.leads]
    ids = spec.modalities[own[0]].ids if len(own) == 1 and own[0] else 0
    if not ids:
        return f"`{pool}` is of ids, which are not all", "write first, last or mean"
    if number >= ids:
        return f"`{pool}` is no id below {ids}, as are the tokens", "choose one that is"
    return None


def _unled(pool: str, segments: Segments) -> tuple[str, str] | None:
    """Why no token in front is taken by its name, and what to write."""
    led = [segment for segment in segments if segment.leads]
    names = [segment.name.partition(".")[2] for segment in led]
    wrong = next((name for name in leads(pool) if names.count(name) != 1), None)
    if wrong is None:
        return None
    if wrong in names:
        several = [str(segment.leads) for segment in led if segment.name.endswith(f".{wrong}")]
        return f"`{wrong}` is of {listed(several)}, all", "give them different names"
    known = names if wrong != pool else [*POOLS, *names, "marked(ID)"]
    return f"no token `{wrong}` leads a modality", did_you_mean(wrong, known, "known")
