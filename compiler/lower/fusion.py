"""Fusions -> IR; a concat of one source is the source itself."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.compiler.lower import attention
from mmspec.compiler.lower.context import Context
from mmspec.compiler.relations.meaning.geometry import line
from mmspec.expressions import mask as masks
from mmspec.schema import fusion as schema


def lower(context: Context, stream: str, sources: tuple[ir.Value, ...]) -> ir.Value:
    """Fuse a stream's sources, all of its width already."""
    spec = context.spec.streams[stream]
    fusion = spec.source
    if isinstance(fusion, schema.Concat) and len(sources) == 1:
        return sources[0]
    heads = getattr(fusion, "heads", None) or spec.heads
    groups: tuple[ir.Group, ...] = ()
    if isinstance(fusion, schema.CrossAttention):
        context_segments = tuple(s for value in sources[1:] for s in value.segments)
        groups = attention.lower(fusion.attention, heads, sources[0].segments, context_segments)
    blocks: tuple[ir.Block, ...] = ()
    if isinstance(fusion, schema.Transformer):
        blocks = (_block(spec.width, heads, sources),) * fusion.depth
    return context.add(
        ir.Fuse(
            module=None if isinstance(fusion, schema.Concat) else f"{stream}_fusion",
            out=ir.Value(f"{stream}_fused", _segments(stream, fusion, sources), spec.width),
            kind=fusion.fusion,
            sources=sources,
            heads=heads,
            queries=fusion.queries if isinstance(fusion, schema.Latents) else 0,
            groups=groups,
            blocks=blocks,
            stream=stream,
            span=context.spec.span("streams", stream, "from"),
        )
    )


def _segments(
    stream: str, fusion: schema.Fusion, sources: tuple[ir.Value, ...]
) -> tuple[ir.Segment, ...]:
    if isinstance(fusion, schema.Latents):
        return (
            ir.Segment(
                stream,
                ir.Tokens(None, fusion.queries),
                line(fusion.queries),
                None,
                False,
                False,
            ),
        )
    if isinstance(fusion, schema.CrossAttention):
        return sources[0].segments
    return tuple(segment for value in sources for segment in value.segments)


def _block(width: int, heads: int, sources: tuple[ir.Value, ...]) -> ir.Block:
    names = [segment.name for value in sources for segment in value.segments]
    full = masks.Pattern("full", ())
    return ir.Block(
        width=width,
        attention=ir.Attention(
            groups=(ir.Group(heads, tuple((q, k, full) for q in names for k in names)),),
            heads=heads,
            kv_heads=heads,
            head_width=width // heads,
            rotary=False,
            bias=True,
        ),
        feed_forward=ir.Mlp(4 * width, "gelu", True),
        norm=ir.Norm("layer", 1e-5, "pre", True),
        dropout=0.0,
    )
