"""A Plan as stable text: one line a field that says something, spans as file lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from mmspec.compiler import ir
from mmspec.compiler.relations.meaning.geometry import Geometry
from mmspec.diagnostics import Span
from mmspec.expressions import mask as masks


def show(plan: ir.Plan) -> str:
    """The Plan as indented text, the same for the same Plan."""
    lines = [f"plan {plan.name} ({plan.class_name})"]
    if plan.separate:
        lines.append(f"separate documents: {', '.join(plan.separate)}")
    if plan.init is not None:
        lines.append(f"init: {_text(plan.init)}")
    for part in (*plan.inputs, *plan.nodes, *plan.heads):
        lines.extend(_node(part))
    return "\n".join(lines) + "\n"


def _node(part: Any) -> Iterator[str]:
    name = getattr(part, "module", None) or getattr(part, "name", None) or part.out.name
    at = f"  # line {part.span.line}" if part.span else ""
    yield f"\n{type(part).__name__.lower()} {name}{at}"
    for item in dataclasses.fields(part):
        if item.name not in ("module", "name", "span"):
            yield from _field(item.name, getattr(part, item.name), "    ")


def _field(name: str, value: Any, pad: str) -> Iterator[str]:
    if value is None or value == () or isinstance(value, Span):
        return
    usual: dict[str, Any] = {"told": "", "order": (0,), "repeat": 1, "biased": True}
    usual |= {"taken": ir.EVERY, "pooling": ("mean", "mean")}
    if name == "variant" or value in (usual.get(name, ()), (usual.get(name),) * 2):
        return
    if name == "variants":
        for number, block in enumerate(value):
            named = f"block {number}: {block.variant}" if len(value) > 1 else "block"
            yield from _nested(named, block, pad)
    elif isinstance(value, ir.Block | ir.Attention):
        yield from _nested(name, value, pad)
    elif isinstance(value, ir.Sum):
        yield f"{pad}position: {_text(value.position)}"
        yield from _field("norm", value.norm, pad)
        yield from [f"{pad}times {value.scale:g}"] if value.scale != 1 else []
        yield from _field("added", value.added, pad)
        yield from [f"{pad}behind {value.lead} learned"] if value.lead else []
    elif name in ("fusion", "raw", "answer", "loss"):
        yield f"{pad}{name}: {value.name}"
        for item in dataclasses.fields(value):
            yield from _field(item.name, getattr(value, item.name), pad + "    ")
    elif name == "sublayers":
        for one in value:
            yield from _sublayer(one, pad)
    elif name == "groups":
        for group in value:
            by = f"{group.heads} heads: " if len(value) > 1 else ""
            for query, key, mask in group.masks:
                yield f"{pad}{by}{query} sees {key}: {masks.unparse(mask)}"
    else:
        yield f"{pad}{name}: {_text(value)}"


def _nested(name: str, value: Any, pad: str) -> Iterator[str]:
    """The fields of a record, a step further in; what an attention's owner says is left out."""
    yield f"{pad}{name}:"
    said = (
        ("owner", "of", "queries", "keys", "own", "shown", "causal", "key_width")
        if isinstance(value, ir.Attention)
        else ()
    )
    for item in dataclasses.fields(value):
        if item.name not in said:
            yield from _field(item.name, getattr(value, item.name), pad + "    ")


def _sublayer(one: ir.Sublayer, pad: str) -> Iterator[str]:
    if isinstance(one.mixer, ir.Attention):
        yield from _nested(one.name, one.mixer, pad)
    else:
        yield f"{pad}{one.name}: {_text(one.mixer)}"
    places = {"before": one.before, "after": one.after, "after the sum": one.post}
    said = [f"{place}: {_text(norm)}" for place, norm in places.items() if norm is not None]
    said += [f"dropout {one.dropout}"] if one.dropout else []
    said += [f"times {one.scale:g}"] if one.scale != 1 else []
    said += [f"times {_text(one.weighed)}"] if one.weighed is not None else []
    said += ["with the one before it"] if one.joins else []
    said += [f"shares the norm of `{one.shared}`"] if one.shared else []
    if said:
        yield f"{pad}    {', '.join(said)}"


def _is_left(name: str, value: Any) -> bool:
    """Whether a number of a record is what it nearly always is, and not told."""
    return value in ((), None) or (name, value) in (
        ("offset", 0),
        ("router_bias", False),
        ("together", False),
        ("sink", False),
    )


def _text(value: Any) -> str:
    if isinstance(value, ir.Value):
        return f"{value.name} [B, {' + '.join(map(_text, value.segments))}, {value.width}]"
    if isinstance(value, ir.Segment):
        marks = [mark for mark in ("rotary", "optional") if getattr(value, mark)]
        if value.modality is None:
            marks.append(f"before {value.leads}" if value.leads else "latents")
        found = f"{value.name}:{_text(value.tokens)} ({_text(value.geometry)})"
        return found + "".join(f" {mark}" for mark in marks)
    if isinstance(value, Geometry):
        axes = ", ".join(f"{axis.name} {axis.size}" for axis in value.axes)
        clock = value.clock
        return f"{axes}, every {clock.period} ms from {clock.offset}" if clock else axes
    if isinstance(value, ir.Position):
        own = dataclasses.asdict(value)
        own = {key: x for key, x in own.items() if x != getattr(ir.Position(value.kind), key)}
        return f"{value.kind}" + "".join(f" {key}={x}" for key, x in own.items())
    if isinstance(value, ir.Added):
        what = f"{value.codes} codes" if value.codes else f"{value.numbers} numbers"
        return f"{value.key} ({what}{'' if value.codes or value.biased else ', unbiased'})"
    if isinstance(value, ir.Tokens):
        return str(value.max) if value.symbol is None else f"{value.symbol}<={value.max}"
    if isinstance(value, masks.Mask):
        return masks.unparse(value)
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        given = {item.name: getattr(value, item.name) for item in fields}
        inner = ", ".join(
            f"{name}={_text(x)}" for name, x in given.items() if not _is_left(name, x)
        )
        return f"{type(value).__name__}({inner})"
    return str(value)
