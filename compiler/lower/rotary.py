"""Rotary positions -> IR."""

from __future__ import annotations

from mmspec.compiler import ir
from mmspec.schema import rotary as schema
from mmspec.schema.stream import Stream


def lower(stream: Stream) -> ir.Rotary | None:
    """How a stream turns tokens that have rotary positions."""
    given = stream.turning
    if given is None:
        return None
    width = int(given.turned(stream.head_width))
    return ir.Rotary(width, given.base, given.interleaved, _scaling(given.scaling))


def _scaling(given: schema.Scaling | None) -> ir.Linear | ir.Llama3 | None:
    match given:
        case schema.Linear(factor=factor):
            return ir.Linear(factor)
        case schema.Llama3(factor=factor, length=length, low=low, high=high):
            return ir.Llama3(factor, length, low, high)
        case _:
            return None
