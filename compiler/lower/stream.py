"""Streams -> projections of their sources, and stacks of blocks."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import attention, halting, modality, routing
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
    return ir.Block(
        width=spec.width,
        attention=ir.Attention(
            groups=attention.lower(spec.attention, spec.heads, source.segments, source.segments),
            heads=spec.heads,
            kv_heads=spec.kv_heads,
            head_width=spec.head_width,
            rotary=any(segment.rotary for segment in source.segments),
            bias=spec.bias,
        ),
        feed_forward=routing.lower(spec.feed_forward, spec.width, spec.bias, source.segments),
        norm=ir.Norm(spec.norm.kind, spec.norm.eps, spec.norm.placement, spec.bias),
        dropout=spec.dropout,
    )


def lower_stack(context: Context, stream: str, source: ir.Value) -> None:
    """Append a stream's stack and remember its output."""
    spec = context.spec.streams[stream]
    context.values[stream] = context.add(
        ir.Stack(
            module=f"{stream}_stream",
            out=ir.Value(stream, source.segments, spec.width),
            source=source,
            block=lower_block(context, stream, source),
            depth=spec.depth,
            final_norm=spec.final_norm,
            halting=halting.lower(spec.halting, spec.depth),
            stream=stream,
            span=context.spec.span("streams", stream),
        )
    )
