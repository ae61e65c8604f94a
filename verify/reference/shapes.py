"""Every weight of a model by name, with its shape."""

from __future__ import annotations

from mmspec.schema.check import token_segment
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, resolve
from mmspec.verify.reference import fusion, head, modality, norm, path, stream
from mmspec.verify.reference.arithmetic import Shapes, linear_shapes
from mmspec.verify.reference.path import KEPT


def embedding_name(wiring: Wiring, name: str, reader: str) -> str:
    """The module that embeds a modality for the stream that reads it."""
    several = len(wiring.readers(name)) > 1
    return f"{name}_embedding_{reader}" if several else f"{name}_embedding"


def expected_weights(spec: Spec) -> Shapes:
    """Name and shape of every weight; a tied head has none of its own."""
    state = expected_state(spec).items()
    return {name: shape for name, shape in state if name.rpartition(".")[2] not in KEPT}


def expected_state(spec: Spec) -> Shapes:
    """The same, and what norms keep of what they saw in training."""
    wiring, found = resolve(spec), Shapes()
    for name in spec.streams:
        found |= _sources(spec, wiring, name)
        found |= _below(f"{name}_fusion", fusion.shapes(spec.streams[name]))
        found |= _below(f"{name}_stream", _stream(spec, wiring, name))
    for name, config in spec.heads.items():
        segment = token_segment(spec, wiring, config)
        vocab = 0 if segment is None else spec.modalities[segment].ids
        found |= _below(f"{name}_head", head.shapes(config, spec.streams, vocab))
    return found


def _below(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


def _sources(spec: Spec, wiring: Wiring, name: str) -> Shapes:
    """Embeddings and projections of what a stream reads."""
    width, found = spec.streams[name].width, Shapes()
    for source in wiring.sources[name]:
        if not source.is_stream:
            prefix = embedding_name(wiring, source.name, name)
            found |= _below(prefix, modality.shapes(spec.modalities[source.name], width))
            continue
        own, prefix = spec.streams[source.name].width, f"{source.name}_to_{name}"
        if steps := spec.streams[name].source.through.get(source.name):
            found |= _below(prefix, path.shapes(steps, own, True, True))
        elif own != width:
            found |= linear_shapes(prefix, own, width)
    return found


def _stream(spec: Spec, wiring: Wiring, name: str) -> Shapes:
    config, found = spec.streams[name], Shapes()
    segments = tuple(segment.name for segment in wiring.segments[name])
    widths = {other: each.width for other, each in spec.streams.items()}
    for i in range(config.depth):
        inner = stream.block_shapes(stream.block_of(config, i), segments, widths)
        found |= _below(f"blocks.{i}", inner)
    found |= stream.common_shapes(config)
    if config.last_norm is not None:
        found |= norm.shapes("norm", config.width, config.last_norm, config.biased("norm"))
    if config.halting and config.halting.decider is None:
        found |= linear_shapes("halt", config.width, 1)
    return found
