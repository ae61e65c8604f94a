"""Streams -> projections of their sources, and stacks of blocks."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.compiler.lower import attention, halting, modality, norm, path, rotary, routing, scores
from mmspec.compiler.lower.bias import biased
from mmspec.compiler.lower.context import Context
from mmspec.schema.scale import Gate, LayerScale
from mmspec.schema.stream import Sublayer
from mmspec.schema.wiring import Source


def lower_source(context: Context, stream: str, source: Source) -> ir.Value:
    """Bring a source to the stream's width: embed a modality, project a stream of other width."""
    if not source.is_stream:
        return modality.lower_embedding(context, stream, source.name)
    value = context.values[source.name]
    width = context.spec.streams[stream].width
    steps = context.spec.streams[stream].source.through.get(source.name, ())
    if value.width == width and not steps:
        return value
    out = ir.Value(f"{source.name}_to_{stream}", value.segments, width)
    span = context.spec.span("streams", stream, "from")
    through = path.lower(steps, path.Given(value.width, first=False))
    return context.add(ir.Project(out.name, out, value, stream, span, through))


def lower_blocks(context: Context, stream: str, source: ir.Value) -> tuple[ir.Block, ...]:
    """The kinds of a stream's layers; those that attend alike share one owner of their masks."""
    found: list[ir.Block] = []
    known: list[ir.Attention] = []
    for name, kind in context.spec.streams[stream].kinds:
        sublayers: list[ir.Sublayer] = []
        first = next((one for one in kind.sublayers if one.word != "feed_forward"), None)
        for one in kind.sublayers:
            if one.word != "feed_forward":
                place = (name, "" if first and one.name == first.name else one.name)
                mixer: ir.Mixer = _attention(context, one, (stream, *place), source, known)
            else:
                of = one.of
                mixer = routing.lower(of.feed_forward, of.width, of.bias, source.segments)
            sublayers.append(_sublayer(one, mixer))
        found.append(ir.Block(kind.width, tuple(sublayers), name))
    return tuple(found)


def _attention(
    context: Context,
    one: Sublayer,
    place: tuple[str, str, str],
    source: ir.Value,
    known: list[ir.Attention],
) -> ir.Attention:
    """A site of a stream, kind of layers and sub-layer ("": the first), beside those `known`."""
    stream, variant, name = place
    owners = {*context.spec.streams, *(site.owner for site in known)}
    owner = _owner(place, owners - {stream})
    read = context.values[one.cross] if one.cross else None
    site = _site(one, owner, source.segments, read)
    of = f"the {variant} layers of stream {stream}" if variant else f"stream {stream}"
    of = f"{name.replace('_', '-')} in {of}" if name else of
    same = next((each for each in known if _alike(each, site)), None)
    owner, of = (same.owner, same.of) if same else (site.owner, of)
    site = replace(site, owner=owner, of=of, variant=variant)
    known.append(site)
    return site


def _owner(place: tuple[str, str, str], taken: set[str]) -> str:
    """What masks of a site are named after, which is no other stream's or site's name."""
    name = "_".join(filter(None, place))
    while name in taken:
        name += "_layers"
    return name


def _alike(one: ir.Attention, other: ir.Attention) -> bool:
    """Whether one pattern and one kernel serve both."""
    named = replace(one, owner=other.owner, of=other.of, variant=other.variant)
    named = replace(named, bias=other.bias, excepted=other.excepted)
    return replace(named, scores=named.inner) == replace(other, scores=other.inner)


def _site(
    one: Sublayer, owner: str, segments: tuple[ir.Segment, ...], read: ir.Value | None
) -> ir.Attention:
    """The site of a sub-layer; read: whose tokens its keys are, if not the stream's own."""
    kind, keys = one.of, segments if read is None else read.segments
    made = norm.lower(kind.norm, kind.biased("norm"))
    return ir.Attention(
        owner=owner,
        of="",
        queries=segments,
        keys=keys,
        own=read is None,
        groups=attention.lower(kind.attention, kind.heads, segments, keys),
        heads=kind.heads,
        kv_heads=kind.kv_heads,
        head_width=kind.head_width,
        rotary=rotary.lower(kind) if any(segment.rotary for segment in segments) else None,
        read=read,
        key_width=0 if read is None else read.width,
        key_norm=made if one.norm_keys else None,
        **biased(kind.bias, "query", "key", "value", "output"),
        scores=scores.lower(kind, segments),
    )


def _sublayer(one: Sublayer, mixer: ir.Mixer) -> ir.Sublayer:
    """What a block computes, with the norms around it and how it is added."""
    spec = one.normed or one.of
    made = norm.lower(spec.norm, spec.biased("norm"))
    before, after, post = (
        made if spec.norm.placement in placements else None
        for placements in (("pre", "sandwich"), ("sandwich", "branch"), ("post",))
    )
    return ir.Sublayer(
        *(one.name, mixer, before, after, post, one.of.dropout),
        scale=one.scale if isinstance(one.scale, float) else 1.0,
        weighed=_weighed(one.scale),
        joins=one.joins,
        awaits=one.awaits,
        shared=one.shared,
    )


def _weighed(scale: float | LayerScale | Gate) -> ir.Weighing | None:
    """What is learned of a scale; None: it is a number."""
    if isinstance(scale, LayerScale):
        return ir.LayerScale(scale.start)
    return ir.Gate() if isinstance(scale, Gate) else None


def lower_stack(context: Context, stream: str, source: ir.Value) -> None:
    """Append a stream's stack and remember its output."""
    spec = context.spec.streams[stream]
    last = spec.last_norm
    variants = lower_blocks(context, stream, source) if spec.depth else ()
    context.values[stream] = context.add(
        ir.Stack(
            module=f"{stream}_stream",
            out=ir.Value(stream, source.segments, spec.width),
            source=source,
            variants=variants,
            order=spec.order,
            depth=spec.depth,
            repeat=spec.repeat or 1,
            final_norm=norm.lower(last, spec.biased("norm")) if last else None,
            halting=halting.lower(spec.halting, spec.depth),
            stream=stream,
            span=context.spec.span("streams", stream),
            common=scores.common(site for block in variants for site in block.attentions),
        )
    )
