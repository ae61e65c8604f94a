"""A Spec as plain data again: sizes evaluated, defaults written out. It reads back to the same."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pydantic import BaseModel

from mmspec import text
from mmspec.expressions import mask as masks
from mmspec.schema.attention import Attention
from mmspec.schema.inheritance import WHOLE
from mmspec.schema.position import Placing
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream


def resolved(spec: Spec) -> dict[str, Any]:
    """Plain data (dict, list, str, int, float, bool) that validates to an equal Spec."""
    data = plain(spec)
    assert isinstance(data, dict)
    return data


def dump(spec: Spec) -> str:
    """The resolved spec as YAML text."""
    return text.dump(resolved(spec))


def plain(value: Any) -> Any:
    """Any part of a Spec as plain data."""
    if isinstance(value, Attention):
        return _attention(value)
    if isinstance(value, Placing):
        given = value.model_dump(exclude_defaults=True, exclude={"kind"})
        return {"kind": value.kind, **given} if given else value.kind
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        pairs = ((field.alias or name, getattr(value, name)) for name, field in fields)
        if isinstance(value, Stream) and value.variants:
            variants = {name: _variant(one) for name, one in value.variants.items()}
            pairs = ((key, variants if key == "variants" else item) for key, item in pairs)
        found = {key: plain(item) for key, item in pairs if item not in (None, {}, ())}
        word = getattr(value, "word", None)
        return {word: found.pop(word), **found} if word is not None else found
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value} Hz"
    return value


def _variant(stream: Stream) -> dict[str, Any]:
    """What a variant says: all keys of a stream that are not of the whole."""
    return {key: value for key, value in plain(stream).items() if key not in WHOLE}


def _attention(attention: Attention) -> Any:
    if attention.groups is not None:
        return [{"heads": g.heads, "mask": _attention(g.mask)} for g in attention.groups]
    if attention.pairs is None:
        assert attention.mask is not None
        return masks.unparse(attention.mask)
    return {f"{q} -> {k}": masks.unparse(mask) for (q, k), mask in attention.pairs.items()}
