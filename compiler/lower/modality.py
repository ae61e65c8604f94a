"""Modalities -> inputs and embeddings."""

from __future__ import annotations

from fractions import Fraction

from mmspec.compiler import ir
from mmspec.compiler.lower.context import Context
from mmspec.compiler.relations.meaning.geometry import Clock, Geometry, grid, line, volume
from mmspec.schema import modality as schema


def tokens(context: Context, name: str) -> ir.Tokens:
    """How many tokens a modality has."""
    modality = context.spec.modalities[name]
    if isinstance(modality, schema.Tokens):
        return ir.Tokens(name, modality.length.max)
    if isinstance(modality, schema.Frames | schema.Video):
        return ir.Tokens(name, modality.max_tokens)
    if isinstance(modality, schema.Image):
        return ir.Tokens(None, modality.grid[0] * modality.grid[1])
    return ir.Tokens(None, len(modality.columns))


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
    return line(f"n_{name}", Clock(Fraction(0), 1000 * modality.patch / modality.rate))


def segment(context: Context, name: str) -> ir.Segment:
    """The run of tokens of a modality."""
    modality = context.spec.modalities[name]
    rotary = modality.position == "rotary"
    place = geometry(name, modality)
    return ir.Segment(name, tokens(context, name), place, name, rotary, modality.optional)


def lower_input(context: Context, name: str) -> ir.Input:
    """The model's input of a modality."""
    modality = context.spec.modalities[name]
    shape: tuple[int | str, ...]
    dtype, longest = "float32", None
    if isinstance(modality, schema.Tokens):
        shape, dtype, longest = ("B", "T"), "int64", modality.length.max
    elif isinstance(modality, schema.Image):
        shape = ("B", modality.channels, *modality.size)
    elif isinstance(modality, schema.Video):
        shape = ("B", "F", modality.channels, *modality.size)
        longest = modality.length.max
    elif isinstance(modality, schema.Frames):
        shape, longest = ("B", "F", modality.features), modality.length.max
    else:
        shape = ("B", len(modality.columns))
    return ir.Input(
        name=name,
        kind=modality.kind,
        shape=shape,
        longest=longest,
        dtype=dtype,
        tokens=tokens(context, name),
        patch=_step(modality),
        area=modality.area if isinstance(modality, schema.Video) else 1,
        optional=modality.optional,
        span=context.spec.span("modalities", name),
    )


def _step(modality: schema.Modality) -> int:
    """Frames (or tokens) that make one step of tokens."""
    if isinstance(modality, schema.Video):
        return modality.tubelet
    return modality.patch if isinstance(modality, schema.Frames) else 1


def lower_embedding(context: Context, stream: str, name: str) -> ir.Value:
    """Embed a modality for the stream that reads it."""
    modality = context.spec.modalities[name]
    single = len(context.wiring.readers(name)) == 1
    module = f"{name}_embedding" if single else f"{name}_embedding_{stream}"
    width = context.spec.streams[stream].width
    columns: tuple[int, ...] = ()
    patch, grid = 1, None
    if isinstance(modality, schema.Tokens):
        features = modality.vocab
    elif isinstance(modality, schema.Image | schema.Video):
        features, patch, grid = modality.channels, modality.patch, modality.grid
    elif isinstance(modality, schema.Frames):
        features, patch = modality.features, modality.patch
    else:
        features = len(modality.columns)
        columns = tuple(
            column.categories if isinstance(column, schema.Categories) else 0
            for column in modality.columns.values()
        )
    return context.add(
        ir.Embed(
            module=module,
            out=ir.Value(
                f"{name}_tokens" if single else f"{name}_tokens_{stream}",
                (segment(context, name),),
                width,
            ),
            modality=name,
            kind=modality.kind,
            position=modality.position,
            features=features,
            patch=patch,
            tubelet=modality.tubelet if isinstance(modality, schema.Video) else 1,
            grid=grid,
            columns=columns,
            stream=stream,
            span=context.spec.span("modalities", name),
        )
    )
