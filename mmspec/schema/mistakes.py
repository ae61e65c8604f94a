"""Pydantic's errors -> diagnostics at the user's lines, in words of the language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from mmspec.diagnostics import MOST, Diagnostic, dotted, shortened, suggest
from mmspec.expressions import words
from mmspec.expressions.scanner import inside
from mmspec.schema import block, fusion, halting, inheritance, norm, places, remedies, scale, scores
from mmspec.schema.base import Refused
from mmspec.text import Document

_WORDS: Final = {
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
}
"""What a value should be, by pydantic's type of error."""

_TAGS: Final = frozenset(
    """
    tokens image video audio series table mlp glu experts switch by-modality
    classifier regressor language-model contrastive fan-in gpt2 normal truncated-normal
    """.split()
) | {
    *(*fusion.KINDS, *halting.KINDS, *norm.KINDS, *scores.KINDS, *scale.KINDS),
    *(*scores.TAGS, *block.TAGS),
}


_OF_SIZES: Final = ("MM200", "MM201", "MM202")


def diagnostics(error: ValidationError, document: Document, data: Any) -> list[Diagnostic]:
    """One for each problem, in the order of the text; what another's remedy mends is left out.

    data: what was validated, the document's with what its streams inherit.
    """
    items = _own(error.errors(include_url=False))
    walked = ((item, _place_of(item, data)) for item in items)
    placed = [(item, inheritance.written(document.data, keys)) for item, keys in walked]
    missing = {keys for item, keys in placed if item["type"] == "missing"}
    found: dict[tuple[str, str, str], Diagnostic] = {}
    for item, keys in placed:
        if item["type"] == "extra_forbidden":
            meant, advice = remedies.key_meant(keys, missing, document)
            missing.discard((*keys[:-1], meant))
            problem = _unknown(keys, advice, document)
            found[problem.code, problem.where, problem.message] = problem
    for item, keys in placed:
        if item["type"] == "missing" and keys not in missing:
            continue
        if masks := _list_of_masks(keys, document):
            found["MM104", dotted(keys[:-1]), ""] = masks
            continue
        if item["type"] != "extra_forbidden":
            problem = _diagnostic(item, keys, document)
            found[problem.code, problem.where, problem.message] = problem
    return sorted((d for d in found.values() if not _follows(d, document)), key=_place)


def _list_of_masks(keys: tuple[Any, ...], document: Document) -> Diagnostic | None:
    """`[causal, full]`: masks in a list, which are joined by signs."""
    masks = remedies.at(document, keys[:-1])
    several = isinstance(masks, list) and len(masks) > 1 and all(isinstance(m, str) for m in masks)
    if keys[-2:-1] != ("attention",) or not several:
        return None
    both, either = (shortened(sign.join(masks)) for sign in (" & ", " | "))
    message = "masks are joined by signs, not listed"
    advice = f"write `{either}` for what either sees, `{both}` for what both see"
    return Diagnostic("MM104", message, document.span(*keys[:-1]), dotted(keys[:-1]), advice)


def _own(items: list[Any]) -> list[Any]:
    """The errors that can be shown, less lists that are too short for want of what is in them."""
    inner = {item["loc"][:size] for item in items for size in range(len(item["loc"]))}
    found = [item for item in items if item["type"] != "too_short" or item["loc"] not in inner]
    return found[:MOST]


def _place_of(item: Any, data: Any) -> tuple[Any, ...]:
    """The keys of an error; what is missing is a key even where it is called like a kind."""
    loc = item["loc"]
    if item["type"] == "missing" and isinstance(loc[-1], str):
        return (*_walk(data, loc[:-1]), loc[-1])
    return _walk(data, loc)


def _walk(data: Any, loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """Drop the union tags that pydantic puts in a location: keep what is in the data."""
    keys: list[Any] = []
    tagged = False
    for step, key in enumerate(loc):
        mapping = data if isinstance(data, dict) else {}
        if not tagged and key in (mapping.get("kind"), mapping.get("fusion")):
            tagged = True
            continue
        if key == "[key]":
            break
        if key in mapping or _is_item(data, key):
            data, tagged = data[key], False
        elif step < len(loc) - 1 or not isinstance(data, dict) or key in _TAGS:
            continue
        else:
            data = None
        keys.append(key)
    return tuple(keys)


def _is_item(data: Any, key: Any) -> bool:
    return isinstance(data, tuple | list) and isinstance(key, int) and key < len(data)


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    span = diagnostic.span
    return (span.line, span.column) if span else (0, 0)


def _follows(diagnostic: Diagnostic, document: Document) -> bool:
    """A dimension that `dims` does declare is unknown only because its value there is wrong."""
    dims = document.data.get("dims", {})
    if diagnostic.code != "MM202" or diagnostic.where.startswith("dims."):
        return False
    return not isinstance(dims, dict) or any(f"`{n}` is not" in diagnostic.message for n in dims)


def _unknown(keys: tuple[Any, ...], advice: str, document: Document) -> Diagnostic:
    where = " here" if str(keys[-1]) in places.homes() else ""
    message = f"unknown key `{shortened(str(keys[-1]))}`{where}"
    return Diagnostic("MM101", message, document.key_span(*keys), dotted(keys), advice)


def _diagnostic(item: Any, keys: tuple[Any, ...], document: Document) -> Diagnostic:
    where = dotted(keys)
    kind, context, value = item["type"], item.get("ctx", {}), item.get("input")
    span = document.span(*keys)
    if kind == "missing" and item["loc"][-1] != keys[-1]:
        return Diagnostic(
            "MM104", f"`{keys[-1]}` is too short", span, where, "write one value more"
        )
    if kind == "missing":
        message, parent = f"`{keys[-1]}` is missing", document.span(*keys[:-1])
        return Diagnostic("MM102", message, parent, where, f"add `{keys[-1]}: ...`")
    if kind in ("union_tag_invalid", "literal_error"):
        short = isinstance(remedies.at(document, keys), str)
        inner = () if short else _holding(value, context.get("tag"))
        return _choice(value, context, (*keys, *inner), document)
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "'kind'")).strip("'")
        given = list(value) if isinstance(value, Mapping) else []
        near = next((key for key in given if _is_tag(str(key), tag)), None)
        if near is not None:
            return _unknown((*keys, near), f"did you mean `{tag}`?", document)
        meant = remedies.kind_meant(tag, keys, document)
        return Diagnostic("MM102", f"`{tag}` is missing", span, where, f"add {meant}")
    if kind == "value_error":
        return _refused(context["error"], keys, document, item["loc"][-1] == "[key]")
    return _mistyped(item, keys, document)


def _mistyped(item: Any, keys: tuple[Any, ...], document: Document) -> Diagnostic:
    """A value of another type or out of its range."""
    kind, value, context = item["type"], item.get("input"), item.get("ctx", {})
    name = f"`{keys[-1]}` " if keys else "it "
    counts = {"too_short": f"at least {context.get('min_length')}"}
    counts["too_long"] = f"at most {context.get('max_length')}"
    if kind in counts:
        message = f"{name}takes {counts[kind]}, not {context['actual_length']}"
    else:
        words = _WORDS.get(kind) or item["msg"].replace("Input should be", "must be")
        message = f"{name}{words}, not {_shown(value)}"
    hint = remedies.form(kind, value, keys, document)
    return Diagnostic("MM104", message, document.span(*keys), dotted(keys), hint)


def _shown(value: Any) -> str:
    """A value of the user's as a message names it."""
    names = {tuple: "a list", list: "a list", dict: "a mapping", type(None): "nothing"}
    if type(value) in names:
        return names[type(value)]
    return f"`{shortened(value if isinstance(value, str) else str(value).lower())}`"


def _is_tag(key: str, tag: str) -> bool:
    return suggest(key, [tag]) is not None or tag in words.keys_meant(key)


def _refused(
    error: ValueError, keys: tuple[Any, ...], document: Document, of_key: bool
) -> Diagnostic:
    """What a validator of ours refused: its code and the columns of its expression, if it says."""
    if not isinstance(error, Refused):
        message, _, text = str(error).partition("; ")
        span = document.key_span(*keys) if of_key else document.span(*keys)
        return Diagnostic("MM105", message, span, dotted(keys), text)
    keys, found = inheritance.written(document.data, (*keys, *error.keys)), error.diagnostic
    is_key = bool(error.keys) and error.text == error.keys[-1]
    span = document.key_span(*keys) if is_key else document.span(*keys)
    if found.span is not None and error.text is not None:
        span = inside(error.text, span, found.span.column - 1, found.span.end_column - 1) or span
    written = remedies.at(document, keys)
    advice = remedies.size(written, keys) if found.code in _OF_SIZES else None
    if advice is not None:
        message = f"`{keys[-1]}` is a whole number, not `{shortened(str(written))}`"
        return Diagnostic(found.code, message, document.span(*keys), dotted(keys), advice)
    return replace(found, span=span, where=dotted(keys))


def _holding(value: Any, tag: Any) -> tuple[str, ...]:
    """The key of a mapping under which the tag of a union stands."""
    entries = value.items() if isinstance(value, Mapping) else ()
    return next(((str(key),) for key, entry in entries if entry == tag), ())


def _choice(
    value: Any, context: Mapping[str, Any], keys: tuple[Any, ...], document: Document
) -> Diagnostic:
    """A word that is none of the choices."""
    given = context.get("tag", value)
    allowed = str(context.get("expected_tags", context.get("expected", "")))
    choices = [word.strip(" '") for word in allowed.replace(" or ", ", ").split(",")]
    text = remedies.choice(given, choices, keys, document)
    message = f"{_shown(given)} is not one of the choices here"
    return Diagnostic("MM103", message, document.span(*keys), dotted(keys), text)
