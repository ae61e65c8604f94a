"""Modalities -> inputs and embeddings."""

from __future__ import annotations

from fractions import Fraction

from mmspec.compiler import ir
from mmspec.compiler.lower import norm, path
from mmspec.compiler.lower.context import Context
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.schema import modality as schema
from mmspec.schema.bias import of_rows
from mmspec.schema.check_tables import table_of
from mmspec.schema.columns import Categories


def tokens(context: Context, name: str) -> ir.Tokens:
    """How many tokens a modality has."""
    modality = context.spec.modalities[name]
    return ir.Tokens(name if modality.varies else None, modality.max_tokens)


def geometry(name: str, modality: schema.Modality) -> Geometry:
    """Where the tokens of a modality stand, and when.

    A symbol `n_text` is the tokens of text, `n_clip` the frames of tokens of a video.
    """
    if isinstance(modality, schema.Image):
        return grid(*modality.grid)
    if isinstance(modality, schema.Table):
        return line(len(modality.columns))
    if isinstance(modality, schema.Tokens):
        return line(f"n_{name}")
    if isinstance(modality, schema.Video):
        clock = Clock(Fraction(0), 1000 * modality.tubelet / modality.rate)
        return volume(f"n_{name}", *modality.grid, clock)
    return line(f"n_{name}", Clock(Fraction(0), 1000 * modality.step / modality.rate))


def leads(context: Context, name: str) -> tuple[ir.Segment, ...]:
    """The learned tokens that stand before those of a modality."""
    modality = context.spec.modalities[name]
    return tuple(
        ir.Segment(
            *(f"{name}_{lead}", ir.Tokens(None, count), line(count), None, False),
            optional=modality.optional,
            leads=name,
        )
        for lead, count in modality.lead.items()
    )


def segment(context: Context, name: str) -> ir.Segment:
    """The run of tokens of a modality."""
    modality = context.spec.modalities[name]
    rotary = modality.position.kind == "rotary"
    place = geometry(name, modality)
    return ir.Segment(name, tokens(context, name), place, name, rotary, modality.optional)


def _raw(modality: schema.Modality) -> ir.Raw:
    """What its raw values are."""
    if isinstance(modality, schema.Tokens):
        grams = modality.ngrams
        return ir.Ids(modality.vocab, None if grams is None else ir.Ngrams(**grams.model_dump()))
    if isinstance(modality, schema.Image):
        stem = _stem(modality, modality.channels, axes=2)
        return ir.Picture(modality.channels, *modality.size, modality.side, stem)
    if isinstance(modality, schema.Video):
        return ir.Clip(modality.channels, *modality.size, modality.patch, modality.tubelet)
    if isinstance(modality, schema.Frames):
        kind = ir.Audio if modality.kind == "audio" else ir.Series
        stem = _stem(modality, modality.features, axes=1)
        return kind(modality.features, modality.step, stem)
    return ir.Row(
        tuple(
            column.categories if isinstance(column, Categories) else 0
            for column in modality.columns.values()
        )
    )


def _stem(modality: schema.Image | schema.Frames, features: int, axes: int) -> ir.Path:
    """The steps from raw values of so many features to tokens."""
    bias, normed = of_rows(modality.bias, "patch"), of_rows(modality.bias, "norm")
    given = path.Given(features, first=axes == 2, bias=bias, norm_bias=normed, axes=axes)
    return path.lower(modality.stem or (), given)


def _sum(name: str, modality: schema.Modality) -> ir.Sum:
    """What its rows become."""
    position = ir.Position(**modality.position.model_dump())
    one = norm.lower(modality.norm, of_rows(modality.bias, "norm"))
    lead = sum(modality.lead.values())
    return ir.Sum(position, modality.scale, one, _added(name, modality), lead)


def _added(name: str, modality: schema.Modality) -> tuple[ir.Added, ...]:
    """What else is given of each of its tokens."""
    biased = of_rows(modality.bias, "patch")
    return tuple(
        ir.Added(name, what, one.categories, 0, False)
        if isinstance(one, Categories)
        else ir.Added(name, what, 0, one.numbers, biased)
        for what, one in modality.add.items()
    )


def lower_input(context: Context, name: str) -> ir.Input:
    """The model's input of a modality."""
    modality = context.spec.modalities[name]
    return ir.Input(
        name=name,
        raw=_raw(modality),
        longest=modality.length.max if isinstance(modality, schema.Varying) else None,
        tokens=tokens(context, name),
        optional=modality.optional,
        span=context.spec.span("modalities", name),
        added=_added(name, modality),
    )


def lower_embedding(context: Context, stream: str, name: str) -> ir.Value:
    """Embed a modality for the stream that reads it."""
    modality = context.spec.modalities[name]
    single = len(context.wiring.readers(name)) == 1
    module = f"{name}_embedding" if single else f"{name}_embedding_{stream}"
    return context.add(
        ir.Embed(
            module=module,
            out=ir.Value(
                f"{name}_tokens" if single else f"{name}_tokens_{stream}",
                (*leads(context, name), segment(context, name)),
                context.spec.streams[stream].width,
            ),
            modality=name,
            raw=_raw(modality),
            sum=_sum(name, modality),
            biased=of_rows(modality.bias, "patch"),
            table=f"{whose}_embedding" if (whose := table_of(context.spec, name)) != name else None,
            stream=stream,
            span=context.spec.span("modalities", name),
        )
    )
