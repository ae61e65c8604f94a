"""P56 and P57: the spec that was compiled is the one that was written, defaults included."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from mmspec.diagnostics import MmspecError
from mmspec.schema.resolved import resolved
from mmspec.schema.spec import Spec
from mmspec.text import Document
from mmspec.verify.lab import reading
from mmspec.verify.law import Law, Search
from mmspec.verify.outcome import Broken, Keys, Outcome, held
from mmspec.verify.reference import halting
from mmspec.verify.subject import Subject

_STRANGER = "zz_unknown"
_NAMED = tuple("dims modalities streams heads objectives add lead columns attention".split())
"""Keys of mappings whose own keys are names, or pairs."""
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")

_MODALITY: dict[str, Any] = {
    "position": "none",
    "optional": False,
    "scale": 1.0,
    "bias": True,
    "norm": {"kind": "none"},
    "add": {},
    "lead": {},
}
DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("modality", "tokens"): _MODALITY,
    ("modality", "image"): {**_MODALITY, "channels": 3},
    ("modality", "video"): {**_MODALITY, "channels": 3, "tubelet": 1},
    ("modality", "audio"): {**_MODALITY, "patch": 1},
    ("modality", "series"): {**_MODALITY, "patch": 1},
    ("modality", "table"): _MODALITY,
    ("feed_forward", "mlp"): {"activation": "gelu"},
    ("feed_forward", "glu"): {"activation": "gelu"},
    ("feed_forward", "by-modality"): {"activation": "gelu"},
    ("feed_forward", "experts"): {"activation": "gelu", "renormalise": True, "balance": 0.0},
    ("feed_forward", "switch"): {"activation": "gelu", "balance": 0.01},
    ("fusion", "transformer"): {"depth": 1},
    ("fusion", "cross-attention"): {"attention": "full"},
    ("head", "classifier"): {"pool": "mean"},
    ("head", "regressor"): {"pool": "mean"},
    ("head", "language-model"): {"tied": True, "scale": 1.0},
    ("head", "contrastive"): {"temperature": 0.07},
}
"""What docs/language.md says an option left out means, by kind."""
INIT: dict[str, Any] = {"kind": "fan-in", "std": 0.02}
STREAM: dict[str, Any] = {"attention": "full", "bias": True, "dropout": 0.0}
NORM: dict[str, Any] = {"kind": "layer", "eps": 1e-5, "placement": "pre"}
OBJECTIVE: dict[str, Any] = {"weight": 1.0, "smoothing": 0.0}


def _places(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every mapping and leaf of plain data with its keys."""
    yield keys, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*keys, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _places(item, (*keys, index))


def _at(value: Any, keys: Keys) -> Any:
    for key in keys:
        value = value[key]
    return value


def _validated(document: Document, data: Any) -> Spec:
    from dataclasses import replace

    from mmspec.schema.validate import validate

    return validate(replace(document, data=data))


def _strict(law: Law, subject: Subject, search: Search) -> Outcome:
    """An unknown key is refused wherever the spec has keys of its own."""
    document, tried = subject.document, 0
    for keys, value in _places(document.data):
        if not isinstance(value, dict) or (keys and keys[-1] in _NAMED):
            continue
        data = copy.deepcopy(document.data)
        _at(data, keys)[_STRANGER] = 1
        tried += 1
        try:
            _validated(document, data)
        except MmspecError:
            continue
        where = ".".join(map(str, keys)) or "the spec"
        raise Broken(f"the unknown key `{_STRANGER}` in {where} is accepted", keys)
    return held(law.id, law.statement, tried, search.seed)


def _faithful(law: Law, subject: Subject, search: Search) -> Outcome:
    """Every number, word and default of the spec is the one that was written, or documented."""
    made, written = resolved(subject.spec), subject.document.data
    checked = 0
    for keys, value in _places(written):
        if isinstance(value, dict | list | tuple) or keys[:1] in (("claims",), ("dims",)):
            continue
        checked += 1
        _compare_leaf(subject, made, keys, value)
    for keys, options in _defaults(subject):
        given = _maybe(written, keys)
        for name, wanted in options.items():
            checked += 1
            if isinstance(given, dict) and name in given:
                continue
            found = _maybe(made, (*keys, name))
            if found is not None and found != wanted:
                where = ".".join(map(str, keys))
                raise Broken(
                    f"{where}.{name} is left out and taken as {found!r}, not {wanted!r}", keys
                )
    return held(law.id, law.statement, checked, search.seed)


def _maybe(value: Any, keys: Keys) -> Any:
    try:
        return _at(value, keys)
    except (KeyError, IndexError, TypeError):
        return None


def _compare_leaf(subject: Subject, made: Any, keys: Keys, value: Any) -> None:
    """Raise Broken where a scalar that was written is another in the spec that is compiled."""
    text = _source(subject, keys)
    if text is not None and (wrong := _mistyped(text, value)):
        raise Broken(f"`{text}` is read as {wrong}", keys)
    found = _maybe(made, keys)
    if isinstance(value, str) and isinstance(found, int | float) and not isinstance(found, bool):
        wanted = float(reading.number(subject.document.data, value))
        if abs(found - wanted) > 1e-9 * abs(wanted):
            where = ".".join(map(str, keys))
            raise Broken(f"{where} is {found!r}; `{value}` is {wanted!r}", keys)
    if (
        found is None
        or isinstance(found, dict | list)
        or isinstance(found, str) != isinstance(value, str)
    ):
        return
    if isinstance(value, bool | int | float) and found != value:
        raise Broken(f"{'.'.join(map(str, keys))} is {found!r}, not {value!r}", keys)


def _source(subject: Subject, keys: Keys) -> str | None:
    """A plain scalar as it stands in the text; None where it is quoted or spans lines."""
    span = subject.where(*keys)
    if span.line != span.end_line:
        return None
    line = subject.document.text.replace("\r\n", "\n").split("\n")[span.line - 1]
    text = line[span.column - 1 : span.end_column - 1].strip()
    return None if not text or text[0] in "\"'{[&*|>!" else text


def _mistyped(text: str, value: Any) -> str | None:
    """How a plain scalar is mistaken, by the rules of YAML 1.2; None where it is not."""
    if _NUMBER.fullmatch(text):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"text: {value!r}"
        return None if float(text) == float(value) else repr(value)
    if text in ("true", "false"):
        return None if value is (text == "true") else repr(value)
    if text in ("no", "on", "yes", "off") and not isinstance(value, str):
        return repr(value)
    return None


def _like(data: Any, name: str) -> str | None:
    """The stream that one takes its settings from."""
    found: str | None = data["streams"][name].get("like")
    return found


def _taken(subject: Subject, name: str) -> dict[str, Any]:
    """Settings of a stream that another gives, where that one says them as a number or a word."""
    data = subject.document.data
    found: dict[str, Any] = {}
    other = _like(data, name)
    while other is not None:
        said = data["streams"][other]
        plain = {key: said[key] for key in ("heads", "bias", "dropout") if key in said}
        found = {**{k: v for k, v in plain.items() if not isinstance(v, str)}, **found}
        other = _like(data, other)
    return found


def _defaults(subject: Subject) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """Every place of the spec where an option may be left out, with what it then means."""
    spec = subject.spec
    short = isinstance(_maybe(subject.document.data, ("init",)), str)
    yield ("init",), {} if short else INIT
    for name, modality in spec.modalities.items():
        yield ("modalities", name), DEFAULTS["modality", modality.kind]
    for name, stream in spec.streams.items():
        keys: Keys = ("streams", name)
        last = getattr(stream.norm, "placement", "none") not in ("post", "none")
        width = {"head_width": stream.width // stream.heads, "kv_heads": stream.heads}
        data = subject.document.data
        taken = reading.layer(data, name, 0).keys() | {"attention"} if _like(data, name) else ()
        left = {**STREAM, **width, "final_norm": last}
        yield keys, {key: value for key, value in left.items() if key not in taken}
        yield keys, _taken(subject, name)
        written = _maybe(subject.document.data, (*keys, "norm"))
        called = isinstance(written, str) and "(" in written
        if not _like(data, name) and not called:
            yield (*keys, "norm"), {k: v for k, v in NORM.items() if k != "kind" or written is None}
        if not _like(data, name):
            yield (*keys, "feed_forward"), DEFAULTS["feed_forward", stream.feed_forward.kind]
        if stream.halting is not None:
            yield (*keys, "halting"), halting.DEFAULTS[stream.halting.kind]
        if options := DEFAULTS.get(("fusion", stream.source.fusion)):
            yield (*keys, "from"), options
    for name, head in spec.heads.items():
        yield ("heads", name), DEFAULTS["head", head.kind]
        if name in spec.objectives:
            yield ("objectives", name), OBJECTIVE


P56 = Law(
    "P56",
    "strict spec",
    "a key that the language does not have is refused wherever it stands",
    _strict,
    runs=False,
)
P57 = Law(
    "P57",
    "scalar fidelity",
    "numbers and words are compiled as written, and what is left out as documented",
    _faithful,
    runs=False,
)
