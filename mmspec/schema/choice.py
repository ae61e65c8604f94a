"""Choices in a spec: a word, a call with arguments, or a mapping with `kind`; read here, for all.

`norm: rms`, `norm: group(4)` and `norm: {kind: group, groups: 4}`: which words there are, and the
arguments of each, is what the models of the kinds say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BaseModel, BeforeValidator, Field
from pydantic.fields import FieldInfo

from mmspec.diagnostics import Diagnostic, shortened
from mmspec.expressions import choice
from mmspec.schema.base import Refused, parsed

Kinds = Mapping[str, type[BaseModel]]


def by_name(*kinds: type[BaseModel]) -> dict[str, Any]:
    """Models by the words that their `kind` may be."""
    return {word: kind for kind in kinds for word in get_args(kind.model_fields["kind"].annotation)}


def reader(key: str, kinds: Kinds, default: str = "", number: str = "") -> BeforeValidator:
    """What makes a mapping of a choice.

    default: the kind of a mapping that names none, unless it has a key of another; number: the
    kind that somebody means who writes a number alone.
    """

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return called(key, kinds, value)
        if isinstance(value, BaseModel):
            return value
        if isinstance(value, Mapping):
            others = {own for kind in kinds.values() for own in kind.model_fields}
            others -= kinds[default].model_fields.keys() if default else set()
            is_default = default and "kind" not in value and not others & value.keys()
            return {"kind": default, **value} if is_default else value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        advice = f"one of: {', '.join(kinds)}"
        if is_number and number:
            advice = f"write `{key}: {number}({shortened(str(value))})`"
        message = f"`{key}` is a word, or a mapping with `kind`"
        raise Refused(Diagnostic("MM104", message, help=advice))

    return BeforeValidator(read, json_schema_input_type=written(kinds))


def written(kinds: Kinds) -> Any:
    """What a spec may hold for a choice: a word, a word with arguments, a mapping."""
    alone = [w for w, kind in kinds.items() if not any(_needed(kind))]
    called = [word for word, kind in kinds.items() if any(_arguments(kind))]
    words = [Literal[tuple(alone)]] if alone else []
    pattern = rf"^\s*({'|'.join(map(re.escape, called))})\s*\(.*\)\s*$"
    words += [Annotated[str, Field(pattern=pattern)]] if called else []
    return Union[*words, *dict.fromkeys(kinds.values())]


def called(key: str, kinds: Kinds, text: str) -> dict[str, choice.Argument]:
    """A word, maybe with arguments, as a mapping; raises Refused."""
    if "(" not in text and text.strip() not in kinds:
        return {"kind": text.strip()}  # what may stand here instead hangs on the rest of the spec
    takes = {word: tuple(_arguments(kind)) for word, kind in kinds.items()}
    given = parsed(lambda text, span: choice.parse(text, takes, key, span), text)
    word = str(given["kind"])
    fields = kinds[word].model_fields
    lacking = [name for name in _needed(kinds[word]) if name not in given]
    if lacking:
        message = f"`{word}` does not say its {lacking[0]}"
        needed = _needed(kinds[word])
        shown = ", ".join(str(given.get(name, _example(fields[name]))) for name in needed)
        advice = f"write `{key}: {word}({shown})`"
        raise Refused(Diagnostic("MM102", message, help=advice))
    return {
        name: value.strip() if isinstance(value, str) and not _is_size(fields[name]) else value
        for name, value in given.items()
    }


def _arguments(kind: type[BaseModel]) -> Iterable[str]:
    """What may stand in brackets: what must be given first, then the rest; no mappings."""
    fields = [(name, field) for name, field in kind.model_fields.items() if name != "kind"]
    yield from _needed(kind)
    yield from (name for name, field in fields if not field.is_required() and _is_flat(field))


def _needed(kind: type[BaseModel]) -> Iterable[str]:
    """Fields that a kind cannot be without."""
    fields = kind.model_fields.items()
    return (name for name, field in fields if name != "kind" and field.is_required())


def _is_flat(field: FieldInfo) -> bool:
    """Whether a field holds a number or a word."""
    inner = get_args(field.annotation)
    return not any(isinstance(one, type) and issubclass(one, BaseModel | tuple) for one in inner)


def _is_size(field: FieldInfo) -> bool:
    """Whether a field takes an expression, whose columns its error counts."""
    return any(isinstance(one, BeforeValidator) for one in field.metadata)


def _example(field: FieldInfo) -> Any:
    return (field.examples or ["..."])[0]
