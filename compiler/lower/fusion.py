"""Fusions -> IR; a concat of one source is the source itself."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.ir.fusion import Bilinear, SigmoidGated, WeightedSum, named
from mmspec.compiler.lower import attention
from mmspec.compiler.lower.context import Context
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions import mask as masks
from mmspec.schema import fusion as schema
from mmspec.schema.stream import Stream

Values = tuple[ir.Value, ...]
Segments = tuple[ir.Segment, ...]


def lower(context: Context, stream: str, sources: Values) -> ir.Value:
    """Fuse a stream's sources, all of its width already."""
    spec = context.spec.streams[stream]
    if isinstance(spec.source, schema.Concat) and len(sources) == 1:
        return sources[0]
    fusion = _fusion(stream, spec, sources)
    kept = {"all": sources, "first": sources[:1], "none": ()}[fusion.gives]
    segments = tuple(segment for value in kept for segment in value.segments)
    if isinstance(fusion, ir.Latents):
        segments = fusion.attention.queries
    elif not kept:
        segments = _own(stream, 1)
    return context.add(
        ir.Fuse(
            module=f"{stream}_fusion" if fusion.part else None,
            out=ir.Value(f"{stream}_fused", segments, spec.width),
            fusion=fusion,
            sources=sources,
            stream=stream,
            span=context.spec.span("streams", stream, "from"),
        )
    )


def _fusion(stream: str, spec: Stream, sources: Values) -> ir.Fusion:
    """The record of a fusion; it has the heads of its stream unless it names its own."""
    every = tuple(segment for value in sources for segment in value.segments)
    match spec.source:
        case schema.Latents(queries=count, heads=heads):
            sides = _own(stream, count), every
            site = _read(stream, spec.width, heads or spec.heads, sides)
            return ir.Latents(site, count)
        case schema.CrossAttention(attention=given, heads=heads):
            own = sources[0].segments
            sides = own, every[len(own) :]
            groups = attention.lower(given, heads or spec.heads, *sides)
            return ir.CrossAttention(
                _site(stream, spec.width, heads or spec.heads, sides, groups, own=False)
            )
        case schema.Transformer(depth=depth, heads=heads):
            block = _block(stream, spec.width, heads or spec.heads, every)
            return ir.Transformer(block, depth)
        case schema.SigmoidGated(pool=pool):
            return SigmoidGated(pool == "all")
        case schema.WeightedSum(pool=pool):
            return WeightedSum(pool == "all")
        case schema.Bilinear(pool=pool, rank=rank):
            return Bilinear(pool == "all", rank)
        case other:
            return named(other.fusion)


def _own(stream: str, count: int) -> Segments:
    """So many tokens of the fusion's own."""
    return (ir.Segment(stream, ir.Tokens(None, count), line(count), None, False, False),)


def _site(
    stream: str,
    width: int,
    heads: int,
    sides: tuple[Segments, Segments],
    groups: tuple[ir.Group, ...],
    *,
    own: bool,
) -> ir.Attention:
    return ir.Attention(
        *(f"{stream}_fusion", f"fusion {stream}", *sides, own, groups),
        *(heads, heads, width // heads),
        rotary=None,
        bias=True,
    )


def _read(
    stream: str, width: int, heads: int, sides: tuple[Segments, Segments], *, own: bool = False
) -> ir.Attention:
    """Attention that sees everything."""
    pairs = tuple((query.name, key.name, masks.FULL) for query in sides[0] for key in sides[1])
    return _site(stream, width, heads, sides, (ir.Group(heads, pairs),), own=own)


def _block(stream: str, width: int, heads: int, segments: Segments) -> ir.Block:
    mixers: dict[str, ir.Mixer] = {
        "attention": _read(stream, width, heads, (segments, segments), own=True),
        "feed_forward": ir.Mlp(4 * width, "gelu", True),
    }
    norm = ir.LayerNorm(1e-5, True)
    sublayers = (ir.Sublayer(name, mixer, norm, None, None, 0.0) for name, mixer in mixers.items())
    return ir.Block(width, tuple(sublayers))
