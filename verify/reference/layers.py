"""Which of its variants each layer of a stream is."""

from __future__ import annotations

from mmspec.schema.stream import Stream


def setting(stream: Stream, place: int) -> Stream:
    """What a layer is, from 0 on: `layers` are read again and again, `rest` fills the depth."""
    if not stream.variants:
        return stream
    runs = [run.partition("*")[::2] for run in stream.layers]
    left = stream.depth - sum(int(count or 1) for _, count in runs if count != "rest")
    named = [[name] * (left if count == "rest" else int(count or 1)) for name, count in runs]
    order = [name for run in named for name in run]
    return stream.variants[order[place % len(order)]]
