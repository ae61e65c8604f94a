"""What to write instead: for an unknown key, a word that is no choice, a value of another form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from mmspec.diagnostics import listed, shortened, suggest
from mmspec.expressions import dimension, words
from mmspec.schema import places
from mmspec.schema.modality import Image, Table, Video
from mmspec.schema.objective import LOSSES, Objective
from mmspec.text import Document, scalars

Keys = tuple[Any, ...]
_GATED: Final = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}
_EXPERTS: Final = ("experts", "choose")
_THOUSANDS: Final = re.compile(r"([0-9]+)([kKmM])")
_FACTORS: Final = {"k": 1_000, "m": 1_000_000}


def at(document: Document, keys: Keys) -> Any:
    """The value at some keys, None where there is none."""
    value: Any = document.data
    for key in keys:
        inside = isinstance(value, list) and isinstance(key, int) and key < len(value)
        there = isinstance(value, Mapping) and key in value
        value = value[key] if inside or there else None
    return value


def key_meant(keys: Keys, missing: Iterable[Keys], document: Document) -> tuple[str | None, str]:
    """The key of the same mapping that an unknown one stands for, if any; and what to write.

    A key that stands there already is not proposed again.
    """
    word, here = str(keys[-1]), at(document, keys[:-1])
    if why := words.absent(word):
        return None, f"remove it: {why}"
    present = set(here) if isinstance(here, Mapping) else set[str]()
    models = places.models_at(document.data, keys[:-1])
    known = [key for model in models for key in _keys_of(model, keys, document)]
    valid = [key for key in dict.fromkeys(known) if key not in present]
    gone = {str(other[-1]) for other in missing if other and other[:-1] == keys[:-1]}
    if of_kind := _of_another_kind(word, keys[:-1], document):
        return None, of_kind
    synonyms = sorted(words.keys_meant(word), key=lambda way: ("." not in way, way not in gone))
    for meant in synonyms:
        outer, _, inner = meant.partition(".")
        if inner and outer in known:
            kind = "kind: experts, " if inner in _EXPERTS else "kind: mlp, "
            written = f"{kind if outer == 'feed_forward' else ''}{inner}: ..."
            there = f"write it in `{outer}`, as `{inner}`"
            return None, there if outer in present else f"write `{outer}: {{{written}}}`"
        if meant in valid:
            return meant, f"did you mean `{meant}`?"
    if said := _said(word, synonyms, present & set(known)):
        return None, said
    beside = [str(other[-1]) for other in missing if other and other[:-1] == keys[:-1]]
    near = suggest(word, beside) or suggest(word, valid)
    if near:
        return near, f"did you mean `{near}`?"
    elsewhere = _elsewhere(word, synonyms, known)
    return None, elsewhere or _near_another_kind(word, keys[:-1], document) or _none_of(valid)


def _of_another_kind(word: str, keys: Keys, document: Document) -> str:
    """What to write where another kind of the same mapping has the key; empty: none has."""
    for tag, values in places.kinds_with(word, document.data, keys).items():
        given = at(document, (*keys, tag))
        if isinstance(given, str) and given not in values:
            kinds = _either(tag, values)
            return f"`{word}` goes with {kinds}, not with `{given}`; remove it, or change `{tag}`"
    return ""


def _near_another_kind(word: str, keys: Keys, document: Document) -> str:
    """The same for a key that is like one of another kind's."""
    near = suggest(word, places.keys_of_any_kind(document.data, keys))
    told = _of_another_kind(near, keys, document) if near else ""
    return told.replace("; remove it,", f"; remove `{word}`,")


def kind_meant(tag: str, keys: Keys, document: Document) -> str:
    """What to write in a mapping without its tag, by the keys that it has."""
    given = at(document, keys)
    here = [str(key) for key in given] if isinstance(given, Mapping) else []
    kinds = [places.kinds_with(key, document.data, keys).get(tag, []) for key in here]
    meant = [kind for kind in kinds[0] if all(kind in more for more in kinds)] if kinds else []
    return _either(tag, meant) if 0 < len(meant) < 3 else f"`{tag}: ...`"


def _either(tag: str, values: Iterable[str]) -> str:
    """A tag with any of some values: `kind: image`, `video` or `audio`."""
    first, *more = values
    words = [f"`{tag}: {first}`", *(f"`{value}`" for value in more)]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _none_of(valid: list[str]) -> str:
    return f"remove it; keys here: {listed(valid)}" if valid else "remove it"


def _said(word: str, synonyms: list[str], present: set[str]) -> str:
    """That keys which stand here say what a word means; empty: none does."""
    there = [f"`{meant}`" for meant in (word, *synonyms) if meant in present]
    says = "say" if len(there) > 1 else "says"
    return f"{' and '.join(there)} {says} it already; remove it" if there else ""


def _elsewhere(word: str, synonyms: list[str], known: list[str]) -> str:
    """Where a key belongs that has no place here, by this word or by ours; empty: nowhere."""
    for meant in (word, *synonyms):
        homes = [] if meant in known else places.homes().get(meant, ())
        called = f"`{word}` is" if meant == word else f"`{word}` is called `{meant}`,"
        if homes:
            return f"{called} a key of {' and '.join(homes[:3])}; remove it here"
    return ""


def _keys_of(model: type[BaseModel], keys: Keys, document: Document) -> list[str]:
    """The keys of a model, less those that do not go with what it is about."""
    found = list(places.fields(model))
    head = at(document, ("heads", *keys[1:2])) if model is Objective else None
    if isinstance(head, Mapping) and head.get("kind") != "classifier":
        found.remove("smoothing")
    return found


def choice(word: Any, choices: list[str], keys: Keys, document: Document) -> str:
    """What to write for a word that is none of the choices; only what is valid there."""
    fitting = _fitting(choices, keys, document)
    if not isinstance(word, str):
        return f"one of: {', '.join(fitting)}"
    activation = _GATED.get(words.plain(word))
    if activation and ("glu" in choices or activation in choices):
        return f"write `feed_forward: {{kind: glu, activation: {activation}}}`"
    places_of = (words.absent(f"{word} {key}") for key in keys[-2:])
    if why := words.absent(word) or next(filter(None, places_of), ""):
        return f"one of: {', '.join(fitting)}; {why}"
    close = words.meant(word, fitting) or suggest(word, fitting)
    return f"did you mean `{close}`?" if close else f"one of: {', '.join(fitting)}"


def _fitting(choices: list[str], keys: Keys, document: Document) -> list[str]:
    """The choices that go with the rest of the spec."""
    owners = places.models_at(document.data, keys[:-1])
    if keys[-1:] == ("position",):
        if owners == [Table]:
            return [word for word in choices if word in ("none", "learned")]
        if not {Image, Video} & set(owners):
            return [word for word in choices if word != "sincos-2d"]
    if keys[-1:] == ("loss",):
        head = at(document, ("heads", *keys[1:2]))
        kind = head.get("kind") if isinstance(head, Mapping) else None
        return [*LOSSES.get(kind, choices)] if isinstance(kind, str) else choices
    return choices


def form(kind: str, value: Any, keys: Keys, document: Document) -> str:
    """What to write for a value of another form than its key takes; empty: it isn't known.

    kind: pydantic's type of error.
    """
    if kind.startswith("model") or kind == "dict_type":
        return _mapping(value, keys, document)
    if kind == "tuple_type":
        return _list(value, keys)
    if kind.startswith("int") and isinstance(value, float) and value == int(value):
        whole = 0 < value < dimension.LIMIT
        return f"write {int(value)}" if whole else "a size is a whole number from 1 to below 2**31"
    if (
        kind.startswith("int")
        and isinstance(value, list | tuple)
        and len(set(map(str, value))) == 1
    ):
        return f"write {value[0]}"
    if kind.startswith("bool") and value in (0, 1):
        return f"write {'true' if value else 'false'}"
    said = scalars.hint(value) if isinstance(value, str) and len(value) < 60 else None
    if said and kind.startswith(("int", "float")) and said.endswith((" true", " false", " null")):
        return ""
    return said or ""


def _list(value: Any, keys: Keys) -> str:
    """One value for a list of them."""
    if isinstance(value, list | tuple | Mapping) or value is None:
        return ""
    shown = shortened(str(value))
    if keys[-1:] == ("size",):
        sides = re.split(r" ?[x×,*] ?", shown)
        return f"write [{', '.join(sides if len(sides) == 2 else [shown, shown])}]"
    return f"write [{shown}]"


def _mapping(value: Any, keys: Keys, document: Document) -> str:
    """A word or a number where there should be a mapping."""
    models = places.models_at(document.data, keys)
    tags = {
        word: (model, tag)
        for model in models
        for tag in ("kind", "fusion")
        for word in places.tag_values(model, tag)
    }
    if isinstance(value, str) and tags:
        activation = _GATED.get(words.plain(value))
        if activation and "glu" in tags:
            return f"write {{kind: glu, activation: {activation}}}"
        word = words.meant(value, tags) or suggest(value, tags)
        if word:
            model, tag = tags[word]
            return _written(model, {tag: word})
    if len(models) == 1 and type(value) is int and len(_required(models[0])) == 1:
        return _written(models[0], {_required(models[0])[0]: value})
    return _written(models[0], {}) if len(models) == 1 else "write {kind: ...}"


def _required(model: type[BaseModel]) -> list[str]:
    return [key for key, field in places.fields(model).items() if field.is_required()]


def _written(model: type[BaseModel], given: Mapping[str, Any]) -> str:
    """A mapping with what is given, and what else must be in it."""
    pairs = dict(given) | {key: "..." for key in _required(model) if key not in given}
    return "write {" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"


def size(text: Any, keys: Keys) -> str | None:
    """What to write for text that is no size, where a person can tell; None: they cannot."""
    if not isinstance(text, str):
        return None
    word = text.strip().casefold()
    if word in words.NUMBERS:
        return f"write {words.NUMBERS[word]}"
    if match := _THOUSANDS.fullmatch(text.strip()):
        return f"write {int(match[1]) * _FACTORS[match[2].lower()]}" if len(text) < 20 else None
    if keys[-1:] != ("vocab",) or not re.search(r"[a-z]", word):
        return None
    name = word.rpartition("/")[2]
    if name in words.VOCABULARIES:
        return f"a vocabulary is a number of ids: {name} has {words.VOCABULARIES[name]}"
    named = "-" in word or "/" in word
    return "a vocabulary is a number of ids: write 256 for bytes" if named else None
