"""Streams -> projections of their sources, and stacks of blocks."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import attention, halting, modality, norm, rotary, routing, scores
from mmspec.compiler.lower.bias import biased
from mmspec.compiler.lower.context import Context
from mmspec.schema.norm import NoNorm
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import Source


def lower_source(context: Context, stream: str, source: Source) -> ir.Value:
    """Bring a source to the stream's width: embed a modality, project a stream of other width."""
    if not source.is_stream:
        return modality.lower_embedding(context, stream, source.name)
    value = context.values[source.name]
    width = context.spec.streams[stream].width
    if value.width == width:
        return value
    out = ir.Value(f"{source.name}_to_{stream}", value.segments, width)
    span = context.spec.span("streams", stream, "from")
    return context.add(ir.Project(f"{source.name}_to_{stream}", out, value, stream, span))


def lower_block(context: Context, stream: str, source: ir.Value) -> ir.Block:
    """The block that a stream repeats."""
    spec = context.spec.streams[stream]
    segments = source.segments
    mixers: dict[str, ir.Mixer] = {
        "attention": ir.Attention(
            owner=stream,
            of=f"stream {stream}",
            queries=segments,
            keys=segments,
            own=True,
            groups=attention.lower(spec.attention, spec.heads, segments, segments),
            heads=spec.heads,
            kv_heads=spec.kv_heads,
            head_width=spec.head_width,
            rotary=rotary.lower(spec) if any(segment.rotary for segment in segments) else None,
            **biased(spec.bias, "query", "key", "value", "output"),
            scores=scores.lower(spec.scores, segments),
        ),
        "feed_forward": routing.lower(spec.feed_forward, spec.width, spec.bias, segments),
    }
    sublayers = (_sublayer(name, mixer, spec) for name, mixer in mixers.items())
    return ir.Block(spec.width, tuple(sublayers))


def _sublayer(name: str, mixer: ir.Mixer, spec: Stream) -> ir.Sublayer:
    """What a block computes, with the stream's norms around it."""
    if isinstance(spec.norm, NoNorm):
        return ir.Sublayer(name, mixer, None, None, None, spec.dropout)
    one = norm.lower(spec.norm, spec.biased("norm"))
    before, after, post = (
        one if spec.norm.placement in placements else None
        for placements in (("pre", "sandwich"), ("sandwich", "branch"), ("post",))
    )
    return ir.Sublayer(name, mixer, before, after, post, spec.dropout)


def lower_stack(context: Context, stream: str, source: ir.Value) -> None:
    """Append a stream's stack and remember its output."""
    spec = context.spec.streams[stream]
    last = spec.last_norm
    context.values[stream] = context.add(
        ir.Stack(
            module=f"{stream}_stream",
            out=ir.Value(stream, source.segments, spec.width),
            source=source,
            variants=(lower_block(context, stream, source),),
            order=(0,),
            repeat=spec.depth,
            final_norm=norm.lower(last, spec.biased("norm")) if last else None,
            halting=halting.lower(spec.halting, spec.depth),
            stream=stream,
            span=context.spec.span("streams", stream),
        )
    )
