"""Streams -> projections of their sources, and stacks of blocks."""

from __future__ import annotations

from dataclasses import replace

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


def lower_blocks(context: Context, stream: str, source: ir.Value) -> tuple[ir.Block, ...]:
    """The kinds of a stream's layers; those that attend alike share one owner of their masks."""
    found: list[ir.Block] = []
    for name, kind in context.spec.streams[stream].kinds:
        site = _site(kind, _owner(context, stream, name), source.segments)
        same = (each for block in found for each in block.attentions if _alike(each, site))
        known = next(same, None)
        of = f"the {name} layers of stream {stream}" if name else f"stream {stream}"
        owner, of = (known.owner, known.of) if known else (site.owner, of)
        mixers: dict[str, ir.Mixer] = {
            "attention": replace(site, owner=owner, of=of, variant=name),
            "feed_forward": routing.lower(
                kind.feed_forward, kind.width, kind.bias, source.segments
            ),
        }
        sublayers = (_sublayer(each, mixer, kind) for each, mixer in mixers.items())
        found.append(ir.Block(kind.width, tuple(sublayers), name))
    return tuple(found)


def _owner(context: Context, stream: str, variant: str) -> str:
    """What masks of a kind of layers are named after, which is no other stream's name."""
    if not variant:
        return stream
    name = f"{stream}_{variant}"
    return f"{name}_layers" if name in context.spec.streams else name


def _alike(one: ir.Attention, other: ir.Attention) -> bool:
    """Whether one pattern and one kernel serve both."""
    named = replace(one, owner=other.owner, of=other.of, variant=other.variant)
    named = replace(named, bias=other.bias, excepted=other.excepted)
    return replace(named, scores=named.inner) == replace(other, scores=other.inner)


def _site(kind: Stream, owner: str, segments: tuple[ir.Segment, ...]) -> ir.Attention:
    return ir.Attention(
        owner=owner,
        of="",
        queries=segments,
        keys=segments,
        own=True,
        groups=attention.lower(kind.attention, kind.heads, segments, segments),
        heads=kind.heads,
        kv_heads=kind.kv_heads,
        head_width=kind.head_width,
        rotary=rotary.lower(kind) if any(segment.rotary for segment in segments) else None,
        **biased(kind.bias, "query", "key", "value", "output"),
        scores=scores.lower(kind, segments),
    )


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
            variants=lower_blocks(context, stream, source),
            order=spec.order,
            depth=spec.depth,
            repeat=spec.repeat or 1,
            final_norm=norm.lower(last, spec.biased("norm")) if last else None,
            halting=halting.lower(spec.halting, spec.depth),
            stream=stream,
            span=context.spec.span("streams", stream),
        )
    )
