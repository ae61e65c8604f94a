"""The order of a stream's layers: which of its variants each of them is."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ValidationInfo

from mmspec.diagnostics import Diagnostic, suggest
from mmspec.expressions import dimension
from mmspec.schema.base import Refused, parsed

REST: Final = "rest"
"""As many layers as are left."""


def _run(value: Any, info: ValidationInfo) -> Any:
    """`local*5`: the name of a variant, and how many layers in a row; its count as a number."""
    if not isinstance(value, str):
        return value
    name, star, count = (word.strip() for word in value.partition("*"))
    if not name:
        message = f"`{value}` does not say which layers there are {count or 'so many'} of"
        raise Refused(Diagnostic("MM328", message, help="write `local*5`, or `local` for one"))
    if not star or count == REST:
        return f"{name}*{REST}" if star else name
    blank = " " * (len(value) - len(count)) + count  # columns are the value's
    dims = (info.context or {}).get("dims", {})
    found = parsed(lambda text, span: dimension.evaluate(text, dims, span), blank)
    return f"{name}*{found}" if found != 1 else name


Run = Annotated[str, BeforeValidator(_run)]
"""Layers of one variant, one after the other: `NAME`, `NAME*count` or `NAME*rest`."""


def _runs(value: Any) -> Any:
    """A number is what others call `layers`."""
    if isinstance(value, int) and not isinstance(value, bool):
        message = f"`layers` names variants, one after the other, and `{value}` is a number"
        raise Refused(Diagnostic("MM104", message, help="did you mean `depth`?"))
    return value


Runs = Annotated[tuple[Run, ...], BeforeValidator(_runs)]
"""The order of a stream's layers."""


def ordered(layers: tuple[str, ...], depth: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """The variants' names until they begin again: at most as many as the layers of the stream.

    Raises Refused where they do not fit its depth, or name none of its variants.
    """
    rest = [place for place, run in enumerate(layers) if run.endswith(f"*{REST}")]
    for place, run in enumerate(layers):
        name = run.partition("*")[0]
        if name not in names:
            near = suggest(name, list(names))
            advice = f"did you mean `{near}`?" if near else "give it under `variants`"
            message = f"`{name}` is none of the stream's variants"
            raise Refused(Diagnostic("MM328", message, help=advice), "layers", place)
    if len(rest) > 1:
        message = "what is left of the layers can go to one variant only"
        advice = f"keep one `*{REST}`, and give the others a count"
        raise Refused(Diagnostic("MM328", message, help=advice), "layers", rest[1])
    counts = [_count(run) for run in layers]
    if sum(counts) + len(rest) > depth:
        message = f"{sum(counts) + len(rest)} layers are named, and the stream has {depth}"
        raise Refused(Diagnostic("MM328", message, help="name fewer, or add to `depth`"), "layers")
    if rest:
        counts[rest[0]] = depth - sum(counts)
    runs = zip(layers, counts, strict=True)
    found = tuple(run.partition("*")[0] for run, count in runs for _ in range(count))
    for name in names:
        if name not in found:
            message = f"no layer is of the variant `{name}`"
            advice = "name it in `layers`, or remove it under `variants`"
            raise Refused(Diagnostic("MM328", message, help=advice), "variants", name)
    return found


def _count(run: str) -> int:
    """Layers that a run names; of what is left, none yet."""
    count = run.partition("*")[2]
    return 0 if count == REST else int(count or 1)
