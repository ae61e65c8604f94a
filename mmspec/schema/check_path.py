"""Paths of heads and of sources: no step reads what stands beside a token."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.diagnostics import MmspecError, listed
from mmspec.schema.path import features
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, problem


def of_heads(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with the paths of heads."""
    for name, head in spec.heads.items():
        for place, step in enumerate(head.path):
            if step.on_grid:
                message = f"a head maps each token by itself, and `{step.kind}` reads several"
                advice = "write linear, norm or an activation"
                yield problem(spec, "MM332", message, "heads", name, "through", place, help=advice)


def of_sources(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    """What is wrong with the paths of what streams read."""
    for name, stream in spec.streams.items():
        streams = [source.name for source in wiring.sources[name] if source.is_stream]
        for source, path in stream.source.through.items():
            at = "streams", name, "from", "through", source
            grid = next((place for place, step in enumerate(path) if step.on_grid), None)
            if source not in streams:
                message = f"`through` is of streams that `{name}` reads, and `{source}` is none"
                advice = f"there is {listed(streams)}" if streams else "a modality has its `stem`"
                yield problem(spec, "MM333", message, *at, help=advice)
            elif grid is not None:
                message = (
                    f"a source maps each token by itself, and `{path[grid].kind}` reads several"
                )
                advice = "write linear, norm or an activation"
                yield problem(spec, "MM333", message, *at, grid, help=advice)
            elif (made := features(path, spec.streams[source].width)) != stream.width:
                message = (
                    f"`{source}` comes with {made} features to stream `{name}` of {stream.width}"
                )
                advice = f"end it with `linear({stream.width})`"
                yield problem(spec, "MM333", message, *at, help=advice)
