"""Streams -> projections of their sources, and stacks of blocks."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import attention, halting, modality, norm, routing, scores
from mmspec.compiler.lower.context import Context
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
            rotary=any(segment.rotary for segment in segments),
            bias=spec.bias,
            scores=scores.lower(spec.scores, segments),
        ),
        "feed_forward": routing.lower(spec.feed_forward, spec.width, spec.bias, segments),
    }
    post = spec.norm.placement == "post"
    sublayers = (
        ir.Sublayer(name, mixer, norm.lower(spec), post, spec.dropout)
        for name, mixer in mixers.items()
    )
    return ir.Block(spec.width, tuple(sublayers))


def lower_stack(context: Context, stream: str, source: ir.Value) -> None:
    """Append a stream's stack and remember its output."""
    spec = context.spec.streams[stream]
    context.values[stream] = context.add(
        ir.Stack(
            module=f"{stream}_stream",
            out=ir.Value(stream, source.segments, spec.width),
            source=source,
            variants=(lower_block(context, stream, source),),
            order=(0,),
            repeat=spec.depth,
            final_norm=norm.lower(spec) if spec.final_norm else None,
            halting=halting.lower(spec.halting, spec.depth),
            stream=stream,
            span=context.spec.span("streams", stream),
        )
    )
