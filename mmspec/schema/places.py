"""What may stand where: the models of a spec by the place of a mapping, and the keys of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel

from mmspec.schema.attention import Attention, Heads
from mmspec.schema.spec import Spec

Keys = tuple[Any, ...]
_TAGS: Final = ("kind", "fusion")


def fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a model by the key that a spec has for each."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def models_at(data: Any, keys: Keys) -> list[type[BaseModel]]:
    """The models that the mapping at `keys` may be of, by its tag or word where that is known.

    Empty where a mapping's keys are names of the user's.
    """
    models, found = _untagged_at(data, keys)
    return _tagged(models, found)


def kinds_with(key: str, data: Any, keys: Keys) -> dict[str, list[str]]:
    """The values of the tag with which the mapping at `keys` could have a key, by the tag."""
    found: dict[str, list[str]] = {}
    for model in _untagged_at(data, keys)[0]:
        for tag in _TAGS if key in fields(model) else ():
            if values := tag_values(model, tag):
                found.setdefault(tag, []).extend(values)
    return found


def keys_of_any_kind(data: Any, keys: Keys) -> list[str]:
    """The keys that the mapping at `keys` could have whatever its tag is."""
    return list(
        dict.fromkeys(key for model in _untagged_at(data, keys)[0] for key in fields(model))
    )


def _untagged_at(data: Any, keys: Keys) -> tuple[list[type[BaseModel]], Any]:
    """The models that the mapping at `keys` may be of whatever its tag is, and the mapping."""
    annotations: list[Any] = [Spec]
    for key in keys:
        found = list(_models(annotations))
        below = [fields(model)[key] for model in _tagged(found, data) if key in fields(model)]
        annotations = [field.annotation for field in below] or list(_items(annotations))
        if Attention in found and isinstance(key, int):
            annotations = [Heads]
        data = _entry(data, key)
    return list(_models(annotations)), data


def _entry(data: Any, key: Any) -> Any:
    if isinstance(data, Mapping):
        return data.get(key)
    if isinstance(data, list | tuple) and isinstance(key, int) and key < len(data):
        return data[key]
    return None


def _models(annotations: Iterable[Any]) -> Iterator[type[BaseModel]]:
    """The models that a value of these annotations may be of; not of what it holds."""
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        elif get_origin(annotation) not in (dict, tuple, Literal):
            given = get_args(annotation)
            yield from _models(given[:1] if get_origin(annotation) is Annotated else given)


def _items(annotations: Iterable[Any]) -> Iterator[Any]:
    """What a list or a mapping of names holds."""
    for annotation in annotations:
        given, origin = get_args(annotation), get_origin(annotation)
        if origin is dict:
            yield given[1]
        elif origin is tuple:
            yield given[0]
        elif origin is not Literal:
            yield from _items(given[:1] if origin is Annotated else given)


def _tagged(models: list[type[BaseModel]], data: Any) -> list[type[BaseModel]]:
    """Those of the models whose tag the data has; all where it has none that is known."""
    if len(models) < 2 or not isinstance(data, Mapping):
        return models
    return [model for model in models if _tag_of(model, data)] or models


def _tag_of(model: type[BaseModel], data: Mapping[Any, Any]) -> bool:
    return getattr(model, "word", None) in data or any(
        tag in data and data[tag] in tag_values(model, tag)
        for tag in _TAGS
        if tag in model.model_fields and isinstance(data.get(tag), str)
    )


def tag_values(model: type[BaseModel], tag: str) -> tuple[str, ...]:
    """The values by which a model is told from its neighbours."""
    field = model.model_fields.get(tag)
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()


@cache
def homes() -> dict[str, tuple[str, ...]]:
    """For each key of the language the places where it may stand, in words."""
    found: dict[str, list[str]] = {}
    for words, model in _all():
        for key in fields(model):
            found.setdefault(key, []).append(words)
    return {key: tuple(dict.fromkeys(places)) for key, places in found.items()}


_PLACES: Final = {
    "modalities": "a modality",
    "streams": "a stream",
    "heads": "a head",
    "objectives": "an objective",
    "block": "an entry of `block`",
    "feed_forward": "`feed_forward`",
    "halting": "`halting`",
    "from": "a fusion",
    "norm": "`norm`",
    "scores": "`scores`",
    "init": "`init`",
    "position": "`position`",
    "rotary": "`rotary`",
    "scaling": "`scaling`",
    "bias": "`bias`",
    "length": "`length`",
    "columns": "a column of categories",
    "add": "an entry of `add`",
    "through": "a step of `through`",
}


def _all() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model with the words for its place."""
    yield "the top", Spec
    owners: list[type[BaseModel]] = [Spec, *_below(Spec, {})]
    for name, words in _PLACES.items():
        for owner in owners:
            if name not in fields(owner):
                continue
            annotation = fields(owner)[name].annotation
            union = [*_models([annotation]), *_models(_items([annotation]))]
            for model in union:
                tags = [value for tag in _TAGS for value in tag_values(model, tag)]
                told = tags and len(union) > 1
                yield (f"{words} of kind {' or '.join(tags)}" if told else words), model


def _below(
    model: type[BaseModel], seen: dict[type[BaseModel], None]
) -> dict[type[BaseModel], None]:
    """Every model that a model's fields may hold, at any depth, in the order they are met."""
    stack: list[Any] = [field.annotation for field in model.model_fields.values()][::-1]
    while stack:
        annotation = stack.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in seen:
                seen[annotation] = None
                _below(annotation, seen)
        stack.extend(reversed(get_args(annotation)))
    return seen
