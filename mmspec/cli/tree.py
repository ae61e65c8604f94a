"""A Spec as a tree: every part, its shape, its parameters and what it is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rich.text import Text

from mmspec.cli import graph, output
from mmspec.cli.diagram import STYLES, spelt
from mmspec.expressions import mask as masks
from mmspec.schema import head as heads
from mmspec.schema.attention import Attention
from mmspec.schema.check import token_segment
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import Wiring, resolve

_LEAST_WORDS = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One line: how deep it hangs, its name, shape, parameters and a few words."""

    depth: int
    name: str
    style: str = ""
    shape: str = ""
    parameters: int | None = None
    words: str = ""

    @property
    def count(self) -> str:
        """The parameters as text."""
        return "" if self.parameters is None else f"{self.parameters:,}"


def lines(
    spec: Spec, parameters: Mapping[str, int], width: int, ascii_only: bool
) -> Iterator[Text]:
    """The tree, line by line; `parameters` by `total`, stream, and `head NAME`."""
    rows = [_in_ascii(row) if ascii_only else row for row in _rows(spec, parameters)]
    guides = [
        _guides(row, later, ascii_only) for row, later in zip(rows, _later(rows), strict=True)
    ]
    parts = [row for row in rows if row.shape]
    widths = (
        max(6 + len(row.name) for row in parts) + 2,
        max(len(row.shape) for row in parts) + 2,
        max(len(row.count) for row in parts),
    )
    for (guide, hanging), row in zip(guides, rows, strict=True):
        if row.shape:
            yield from _part(row, guide, hanging, widths, width)
        else:
            yield from _simple(row, guide, "|" if ascii_only else "│", width)


def _part(
    row: Row, guide: str, hanging: str, widths: tuple[int, int, int], width: int
) -> Iterator[Text]:
    """A modality, stream or head in columns; its words go on in the last."""
    name, shape, count = widths
    columns = row.shape.ljust(shape) + (row.count.rjust(count) + "  " if count else "")
    indent = name + len(columns)
    texts = _wrapped(row.words, max(width - indent, _LEAST_WORDS)) or [""]
    line = _named(row, guide)
    line.append(" " * (name - len(line)) + columns + texts[0])
    yield line
    for text in texts[1:]:
        yield Text(hanging.ljust(indent), "dim").append(text, "not dim")


def _simple(row: Row, guide: str, bar: str, width: int) -> Iterator[Text]:
    """The title, a heading or a claim: its name and its words, without columns."""
    line = _named(row, guide)
    texts = _wrapped(row.words, width - 3)
    if row.words and len(line) + 2 + len(row.words) <= width:
        yield line.append(f"  {row.words}")
        return
    yield line
    yield from (Text(f"{bar}  {text}") for text in texts)


def _wrapped(words: str, width: int) -> list[str]:
    """Lines of at most `width` where possible, never cut within parentheses."""
    glued = re.sub(r"\([^)]*\)", lambda match: match[0].replace(" ", "\xa0"), words)
    lines = textwrap.wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines]


def _named(row: Row, guide: str) -> Text:
    return Text(guide, "dim").append(row.name, f"not dim {row.style}")


def _in_ascii(row: Row) -> Row:
    return replace(row, shape=spelt(row.shape), words=spelt(row.words))


def _guides(row: Row, following: frozenset[int], ascii_only: bool) -> tuple[str, str]:
    """The branches to the left of a row's name, and of the lines that continue it."""
    if not row.depth:
        return "", ""
    later = [depth in following for depth in range(1, row.depth + 1)]
    bar, tee, corner = ("|  ", "|- ", "`- ") if ascii_only else ("│  ", "├─ ", "└─ ")
    stems = [bar if more else "   " for more in later]
    return "".join([*stems[:-1], tee if later[-1] else corner]), "".join(stems)


def _later(rows: list[Row]) -> list[frozenset[int]]:
    """For each row the depths of which another one follows before one that is less deep."""
    found: list[frozenset[int]] = []
    there: frozenset[int] = frozenset()
    for row in reversed(rows):
        found.append(there)
        there = frozenset({row.depth, *(depth for depth in there if depth < row.depth)})
    return found[::-1]


def _rows(spec: Spec, parameters: Mapping[str, int]) -> Iterator[Row]:
    wiring = resolve(spec)
    total = parameters.get("total")
    about = [spec.about] if spec.about else []
    about += [f"{total:,} parameters"] if total is not None else []
    yield Row(0, spec.name, "bold", words=", ".join(about))
    if start := graph.init_text(spec.init):
        yield Row(1, "init", "bold", words=start)
    yield Row(1, "modalities", "bold")
    for name, modality in spec.modalities.items():
        words = ", ".join(graph.modality_lines(modality))
        yield Row(2, name, STYLES["modality"], f"[B, {graph.tokens(modality)}]", None, words)
    yield Row(1, "streams", "bold")
    for name in wiring.order:
        yield _stream(spec, wiring, name, parameters)
        stream = spec.streams[name]
        if stream.block:
            yield Row(3, "block", words=graph.block_text(stream))
        for item in stream.attention.by_heads(stream.heads):
            yield from _masks(stream, *item)
    yield Row(1, "heads", "bold")
    for name, head in spec.heads.items():
        kind, rest = head.caption
        words = ", ".join([f"{kind} of {' and '.join(heads.sources(head))}", rest])
        shape = _head_shape(spec, wiring, head)
        yield Row(2, name, STYLES["head"], shape, parameters.get(f"head {name}"), words)
    if spec.claims:
        yield Row(1, "claims", "bold")
    for claim in spec.claims:
        yield Row(2, claim)


def _stream(spec: Spec, wiring: Wiring, name: str, parameters: Mapping[str, int]) -> Row:
    stream = spec.streams[name]
    source = stream.source
    of = ", ".join(source.of)
    words = [of if source.joins else f"{source.fusion} of {of}"]
    words += graph.stream_lines(stream)
    shape = f"[B, {_tokens(spec, wiring, name)}, {stream.width}]"
    return Row(2, name, STYLES["stream"], shape, parameters.get(name), _joined(words))


def _joined(words: list[str]) -> str:
    """The words with commas, but operators of a mask without."""
    return ", ".join(words).replace(", | ", " | ").replace(", & ", " & ")


def _tokens(spec: Spec, wiring: Wiring, stream: str) -> str:
    """The tokens of a stream, one term a segment."""
    return " + ".join(
        str(segment.count)
        if segment.modality is None
        else graph.tokens(spec.modalities[segment.modality])
        for segment in wiring.segments[stream]
    )


def _masks(stream: Stream, heads: int, attention: Attention) -> Iterator[Row]:
    """What a group of heads sees, where one line of the stream does not say it."""
    by = "" if heads == stream.heads else f"{output.plural(heads, 'head')}: "
    for (query, key), mask in (attention.pairs or {}).items():
        yield Row(3, f"{by}{query} sees {key}", words=masks.unparse(mask))
    if by and attention.mask is not None:
        yield Row(3, f"{by}all", words=masks.unparse(attention.mask))


def _head_shape(spec: Spec, wiring: Wiring, head: heads.Head) -> str:
    segment = token_segment(spec, wiring, head)
    if segment is not None:
        tokens = spec.modalities[segment]
        return f"[B, {graph.tokens(tokens)}, {tokens.ids}]"
    return "[B, B]" if head.matches else f"[B, {head.size}]"
