"""The language as JSON Schema 2020-12, for editors: what a spec may hold, as its users write it.

It accepts every spec that is valid, and refuses unknown keys, words and types; what hangs on other
parts of a spec, `mmspec check` says.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from mmspec.expressions import mask as masks
from mmspec.schema import block
from mmspec.schema.attention import Attention
from mmspec.schema.inheritance import MERGED, WHOLE
from mmspec.schema.spec import Spec

Json = dict[str, Any]


def json_schema() -> Json:
    """The schema of a spec."""
    found = _tidy(Spec.model_json_schema(schema_generator=_Written))
    stream = found["$defs"]["Stream"]
    found["$defs"] |= {"Variant": _variant(stream), "Like": _like(stream)}
    found["$defs"] |= _sublayers(found["$defs"])
    stream["properties"]["block"]["items"] = {"$ref": "#/$defs/Sublayer"}
    stream["properties"]["variants"]["additionalProperties"] = {"$ref": "#/$defs/Variant"}
    found["properties"]["streams"]["additionalProperties"] = {
        "if": {"type": "object", "required": ["like"]},
        "then": {"$ref": "#/$defs/Like"},
        "else": {"$ref": "#/$defs/Stream"},
    }
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": "mmspec", **found}


def _variant(stream: Json) -> Json:
    """Keys that one kind of a stream's layers may change."""
    keys = (key for key in stream["properties"] if key not in WHOLE)
    return _inheriting(stream["description"], keys)


def _like(stream: Json) -> Json:
    """A stream that takes the settings of another."""
    every = _inheriting(stream["description"], stream["properties"])
    return {**every, "required": ["from", "like"]}


def _sublayers(models: Json) -> Json:
    """Entries of `block`: a word, or a mapping that has it, and what it gives of the stream's."""
    found = {}
    for word, keys in block.OWN.items():
        model = models.pop(block.KINDS[word].__name__)
        properties = model["properties"]
        own = {key: properties[key] for key in block.OF_ENTRIES if key in properties}
        entry = _inheriting(model["description"], keys)
        if word in keys:
            own[word] = {"anyOf": [{"const": "same"}, entry["properties"][word]]}
        entry["properties"] |= own
        found[word] = {"if": {"required": [word]}, "then": entry}
    several = models[block.ParallelEntry.__name__]
    several["properties"]["parallel"]["items"] = {"$ref": "#/$defs/Single"}
    every = {**found, "parallel": {"if": {"required": ["parallel"]}, "then": several}}
    return {"Single": _entry(found), "Sublayer": _entry(every)}


def _entry(kinds: Json) -> Json:
    words = [word for word in kinds if word in block.OWN.get(word, ())]
    mapping = {"type": "object", "allOf": [*kinds.values()]}
    mapping |= {"oneOf": [{"required": [word]} for word in kinds]}
    return {"if": {"type": "string"}, "then": {"enum": words}, "else": mapping}


def _inheriting(description: str, keys: Iterable[str]) -> Json:
    """Some keys of a stream, none of them needed; mappings that change what they inherit."""
    changed: Json = {key: {"$ref": f"#/$defs/Stream/properties/{key}"} for key in keys}
    changed |= {
        key: {"anyOf": [changed[key], {"type": "object"}]} for key in MERGED if key in changed
    }
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": changed,
    }


def _tidy(value: Any) -> Any:
    """In words of JSON Schema alone, which pydantic's also has for limits and choices by a key."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("discriminator"), dict):
        value = _by_key(value)
    return {key: _tidy(item) for key, item in value.items() if key not in ("ge", "lt")}


def _by_key(value: Json) -> Json:
    """A choice by the word at a key: so what is wrong is said of the kind that is meant."""
    key, kinds = value["discriminator"]["propertyName"], value["discriminator"]["mapping"]
    rest = {word: one for word, one in value.items() if word not in ("discriminator", "oneOf")}
    each = [
        {"if": {"properties": {key: {"const": word}}, "required": [key]}, "then": {"$ref": kind}}
        for word, kind in kinds.items()
    ]
    words = {key: {"enum": [*kinds]}}
    return {**rest, "type": "object", "properties": words, "required": [key], "allOf": each}


@cache
def _described(model: type[BaseModel]) -> Mapping[str, str]:
    """What the text below each field of a model says, also of those that it inherits."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if one.__module__.startswith(f"{__package__}."):
            found |= _below_fields(one.__module__).get(one.__name__.partition("[")[0], {})
    return found


@cache
def _below_fields(module: str) -> Mapping[str, Mapping[str, str]]:
    """The same of all classes of a module, from its source."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {node.name: dict(_said(node.body)) for node in classes}


def _said(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            if isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
                yield ast.unparse(field.target), text.value.value


class _Written(GenerateJsonSchema):
    """Says of each place what users write there, and of defaults what they would write."""

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Keys with what they mean; attention is written as text, a mapping or a list."""
        model = schema["cls"]
        if model is Attention:
            return dict(_ATTENTION)
        found = super().model_schema(schema)
        for name, said in _described(model).items():
            field = model.model_fields.get(name)
            if field:
                found["properties"][field.alias or name].setdefault("description", said)
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Keys have no titles beside their names."""
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Without defaults that stand for "not given", such as a size of 0."""
        found = super().default_schema(schema)
        is_size = any("minimum" in one and one["minimum"] > 0 for one in found.get("anyOf", ()))
        if "default" in found and (found["default"] in (None, []) or is_size):
            del found["default"]
        return found

    def encode_default(self, dft: Any) -> Any:
        """Masks as expressions; a kind whose other keys have their defaults as its word."""
        if isinstance(dft, Attention):
            return masks.unparse(dft.mask) if dft.mask is not None else None
        if isinstance(dft, BaseModel):
            return getattr(dft, "kind", {})
        return super().encode_default(dft)


_MASK: Final[Mapping[str, Any]] = {
    "type": "string",
    "description": "A mask expression.",
    "examples": ["causal", "causal & window(before=63)", "document | global(1)"],
}
_PAIRS: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "masks by pair of segments, `text -> image`",
    "minProperties": 1,
    "propertyNames": {"pattern": "->"},
    "additionalProperties": _MASK,
}
_HEADS: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "some heads, and what they see",
    "properties": {
        "heads": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
        "mask": {"anyOf": [_MASK, _PAIRS]},
    },
    "required": ["heads", "mask"],
    "additionalProperties": False,
}
_ATTENTION: Final[Mapping[str, Any]] = {
    "description": "who sees whom",
    "anyOf": [_MASK, _PAIRS, {"type": "array", "minItems": 1, "items": _HEADS}],
}
