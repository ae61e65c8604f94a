"""Which of its variants each layer of a stream is, and what that does, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mmspec.schema.block import ParallelEntry
from mmspec.schema.scale import Gate, LayerScale
from mmspec.schema.stream import Stream


@dataclass(frozen=True, slots=True)
class Part:
    """A sub-layer of a layer, by its name, with its settings and what it is multiplied by.

    reads: whether tokens read one another, or each is by itself; norm: the name of the norm
    of all that read the same tokens, "" where each has its own.
    """

    name: str
    reads: bool
    of: Stream
    scale: float | LayerScale | Gate = 1.0
    norm: str = ""
    normed: Stream | None = None
    """Where the shared norm is said: the layer's own settings."""
    cross: str = ""
    """The other stream whose tokens are read, if any."""
    norm_keys: bool = False
    """Whether those are normed first."""


Steps = tuple[tuple[Part, ...], ...]
"""A layer: one sub-layer after the other; of several in parallel all read the same tokens."""


def steps(kind: Stream) -> Steps:
    """What layers of a kind do, in order."""
    if not kind.block:
        return (Part("attention", True, kind),), (Part("feed_forward", False, kind),)
    return tuple(_steps(kind))


def _steps(kind: Stream) -> Iterator[tuple[Part, ...]]:
    known: list[str] = []

    def named(entry: Any, word: str) -> str:
        if entry.name:
            return str(entry.name)
        known.append(word)
        return f"{word}_{known.count(word)}" if known.count(word) > 1 else word

    def part(entry: Any, norm: str = "") -> Part:
        words = ("attention", "cross", "feed_forward")
        word = next(word for word in words if hasattr(entry, word))
        keys = type(entry).model_fields.keys() - {"name", "scale", "cross", "norm_keys"}
        settings = kind.model_copy(update={key: getattr(entry, key) for key in keys})
        return Part(
            named(entry, word),
            word == "attention",
            settings,
            entry.scale,
            norm,
            kind if norm else None,
            getattr(entry, "cross", ""),
            getattr(entry, "norm_keys", False),
        )

    for entry in kind.block:
        if isinstance(entry, ParallelEntry):
            whole = named(entry, "parallel")
            norm = f"{whole}_norm" if entry.norm else ""
            yield tuple(part(one, norm) for one in entry.parallel)
        else:
            yield (part(entry),)


def changed(stream: Stream, change: Callable[[Any], Any]) -> Stream:
    """A stream with all its settings changed: its own, its variants' and those of their entries."""

    def entry(one: Any) -> Any:
        if isinstance(one, ParallelEntry):
            return one.model_copy(update={"parallel": tuple(map(change, one.parallel))})
        return change(one)

    found: Stream = change(stream)
    variants = {name: changed(kind, change) for name, kind in stream.variants.items()}
    block = tuple(map(entry, stream.block))
    return found.model_copy(update={"block": block, "variants": variants})


def attending(kind: Stream) -> tuple[Part, ...]:
    """The sub-layers of a layer in which tokens read one another, in order."""
    return tuple(part for step in steps(kind) for part in step if part.reads)


def feeding(kind: Stream) -> tuple[Part, ...]:
    """Those in which each token is by itself, in order."""
    every = (part for step in steps(kind) for part in step)
    return tuple(part for part in every if not part.reads and not part.cross)


def crossing(kind: Stream) -> tuple[Part, ...]:
    """Those in which tokens read another stream's, in order."""
    return tuple(part for step in steps(kind) for part in step if part.cross)


def setting(stream: Stream, place: int) -> Stream:
    """What a layer is, from 0 on: `layers` are read again and again, `rest` fills the depth."""
    if not stream.variants:
        return stream
    runs = [run.partition("*")[::2] for run in stream.layers]
    left = stream.depth - sum(int(count or 1) for _, count in runs if count != "rest")
    named = [[name] * (left if count == "rest" else int(count or 1)) for name, count in runs]
    order = [name for run in named for name in run]
    return stream.variants[order[place % len(order)]]
