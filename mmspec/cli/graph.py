"""A Spec as boxes and arrows, and each part of it in a few words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mmspec.cli import output
from mmspec.cli.diagram import Box, Graph
from mmspec.expressions import mask as masks
from mmspec.schema import fusion, head, init, modality
from mmspec.schema.attention import Attention
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.wiring import Wiring, resolve

TIMES: Final = "\N{MULTIPLICATION SIGN}"
_LONG_MASK: Final = 26


def graph(spec: Spec) -> Graph:
    """Modalities, streams, fusions and heads as boxes, and who reads whom."""
    wiring = resolve(spec)
    boxes = [Box(f"m:{n}", "modality", n, modality_lines(m)) for n, m in spec.modalities.items()]
    edges: list[tuple[str, str]] = []
    for name in wiring.order:
        stream = spec.streams[name]
        entry = f"s:{name}"
        if _is_shown(stream.source):
            entry = f"f:{name}"
            boxes.append(Box(entry, "fusion", stream.source.fusion, fusion_lines(stream)))
            edges.append((entry, f"s:{name}"))
        boxes.append(Box(f"s:{name}", "stream", name, stream_lines(stream)))
        edges += [(source, entry) for source in _sources(wiring, name)]
        edges += [(f"s:{other}", f"s:{name}") for other in wiring.crossed[name]]
    for name, item in spec.heads.items():
        boxes.append(Box(f"h:{name}", "head", name, item.caption))
        edges += [(f"s:{stream}", f"h:{name}") for stream in head.sources(item)]
    return Graph(tuple(boxes), tuple(edges))


def _is_shown(source: fusion.Fusion) -> bool:
    """A fusion has a box of its own unless it only passes one source on."""
    return not source.joins or len(source.of) > 1


def _sources(wiring: Wiring, stream: str) -> Iterator[str]:
    for source in wiring.sources[stream]:
        yield f"{'s' if source.is_stream else 'm'}:{source.name}"


def modality_lines(item: modality.Modality) -> tuple[str, ...]:
    """`tokens ≤ 48 of 256`, `learned`, `optional`."""
    kind = item.position.kind
    marks: list[str] = [kind] if kind != "none" else []
    marks += ["optional"] if item.optional else []
    front = ", ".join(f"{count} {name}" if count > 1 else name for name, count in item.lead.items())
    more = [f"behind {front}"] * bool(front) + [f"with {', '.join(item.add)}"] * bool(item.add)
    return (*item.caption, *([", ".join(marks)] if marks else []), *more)


def tokens(item: modality.Modality) -> str:
    """The number of tokens of a modality, `≤48`."""
    return f"{'≤' if item.varies else ''}{item.max_tokens}"


def stream_lines(item: Stream) -> tuple[str, ...]:
    """`2 x 64`, `4 heads`, and what is not the default."""
    if not item.depth:
        return (f"no layers, {item.width} wide",)
    heads = output.plural(item.heads, "head") + (
        f" ({item.kv_heads} kv)" if item.kv_heads != item.heads else ""
    )
    lines = [f"{item.depth} {TIMES} {item.width}, {heads}"]
    lines += attention_lines(item.attention)
    said = (item.scores.caption if item.scores else "", item.feed_forward.caption)
    kinds = f"layers {', '.join(item.layers)}" if item.layers else ""
    often = f"applied {item.repeat} times" if item.repeat else ""
    for text in (*said, kinds, often, item.halting.caption if item.halting else ""):
        lines += [text] if text else []
    return tuple(lines)


def block_text(item: Stream) -> str:
    """What a layer does, in order; what is in parallel has a sign between."""
    found = ""
    for one in item.sublayers:
        sign = " | " if one.joins else ", "
        seen = attention_text(one.of.attention) if one.word == "attention" else ""
        scale = f"{one.scale:g}" if isinstance(one.scale, int | float) else one.scale.kind
        words = f"{scale} {TIMES} {one.name}" if one.scale != 1 else one.name
        words += f" ({seen})" if seen and one.of.attention != item.attention else ""
        words += f" of {one.cross}" if one.cross else ""
        found += f"{sign if found else ''}{words}"
    return found


def attention_lines(attention: Attention) -> list[str]:
    """The mask, one line an operand where it is long."""
    text = attention_text(attention)
    if len(text) <= _LONG_MASK:
        return [text] if text else []
    return text.replace(" | ", "\n| ").replace(" & ", "\n& ").split("\n")


def attention_text(attention: Attention) -> str:
    """The mask in the language's own words; nothing where everything is seen."""
    if attention.groups is not None:
        return f"masks of {len(attention.groups)} groups of heads"
    if attention.pairs is not None:
        return f"{len(attention.pairs)} masks by pair"
    assert attention.mask is not None
    text = masks.unparse(attention.mask)
    return "" if text == "full" else text


def init_text(item: init.Init) -> str:
    """How weights start, nothing where it is the default."""
    if isinstance(item, init.FanIn):
        return ""
    std = "" if isinstance(item, init.Gpt2) else f"({item.std:g})"
    return f"{item.kind}{std}"


def fusion_lines(stream: Stream) -> tuple[str, ...]:
    """What is special about a fusion."""
    item = stream.source
    said = [f"{item.own_tokens} queries"] if item.own_tokens else []
    if item.gives == "first":
        said.append(f"{item.of[0]} reads {', '.join(item.of[1:])}")
    if item.context is not None:
        said += attention_lines(item.context)
    if item.depth_of_blocks:
        said.append(f"{item.depth_of_blocks} deep")
    return tuple(said)
