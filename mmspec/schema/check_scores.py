"""Scores: the tokens of a pair have a common line, along which they are apart."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.diagnostics import MmspecError, listed, suggest
from mmspec.expressions import mask as masks
from mmspec.schema.attention import Attention
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import Wiring, problem


def of_streams(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with the scores of streams."""
    for name, stream in spec.streams.items():
        segments = [segment.name for segment in wiring.segments[name]]
        for one in stream.every:
            if one.word == "attention":
                at = spec.written("streams", name, *one.at, "scores", "relative")
                yield from _of_kind(spec, one.of, segments, at)
        yield from _common(spec, name)


def _common(spec: Spec, name: str) -> Iterator[MmspecError]:
    """What layers have in common, and not alike."""
    first: Stream | None = None
    for one in spec.streams[name].every:
        scores = one.of.scores
        if one.word != "attention" or scores is None or not scores.tied:
            continue
        first = first or one.of
        assert first.scores is not None
        if (one.of.heads, scores.relative) == (first.heads, first.scores.relative):
            continue
        at = spec.written("streams", name, *one.at, "scores", "tied")
        message = f"layers of stream `{name}` have numbers in common for other heads or distances"
        advice = "give all of them one `heads` and one `relative`, or remove `tied`"
        yield problem(spec, "MM325", message, *at, help=advice)


def _of_kind(
    spec: Spec, stream: Stream, segments: list[str], at: tuple[str, ...]
) -> Iterator[MmspecError]:
    """What is wrong with the scores of a kind of layers, which stand there."""
    if stream.scores is None or stream.scores.relative is None:
        return
    if stream.scores.pairs is None:
        (kind,) = stream.scores.kinds()
        yield from _all(spec, kind.name(), stream.attention, segments, at)
        return
    first = next(iter(stream.scores.kinds()))
    for (query, key), kind in stream.scores.pairs.items():
        here = (*at, f"{query} -> {key}")
        unknown = [one for one in dict.fromkeys((query, key)) if one not in segments]
        for one in unknown:
            close = suggest(one, segments)
            advice = f"did you mean `{close}`?" if close else f"segments: {listed(segments)}"
            yield problem(spec, "MM310", f"no segment `{one}` here", *here, help=advice, word=one)
        if query != key and not unknown:
            message = f"`{query}` and `{key}` have no common line to be apart on"
            advice = f"write the pair of a segment with itself: `{query} -> {query}`"
            yield problem(spec, "MM325", message, *here, help=advice)
        if kind != first:
            message = "the relative scores of a stream are of one kind so far, and this is another"
            advice = "give all pairs the same one"
            yield problem(spec, "MM325", message, *here, help=advice)


def _all(
    spec: Spec, kind: str, attention: Attention, segments: list[str], at: tuple[str, ...]
) -> Iterator[MmspecError]:
    """One relative score for every pair: no pair of two segments is seen."""
    for _, group in attention.by_heads(1):
        for row, query in enumerate(segments):
            for column, key in enumerate(segments):
                if row == column or not _sees(group, (query, key), row - column):
                    continue
                message = f"`{query}` sees `{key}`, and their tokens have no common line"
                advice = f"say it by pair: `relative: {{{segments[-1]} -> {segments[-1]}: {kind}}}`"
                yield problem(spec, "MM325", message, *at, help=advice)
                return


def _sees(attention: Attention, pair: tuple[str, str], order: int) -> bool:
    """Whether one segment sees anything of another; order > 0: the other comes first."""
    if attention.pairs is not None:
        return bool(attention.pairs.get(pair, masks.NONE) != masks.NONE)
    return attention.mask != masks.Pattern("causal") or order > 0
