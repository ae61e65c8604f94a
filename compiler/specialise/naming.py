"""Names of classes: what a class does, and how it differs from others of its part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain, combinations
from typing import Final

from mmspec.compiler.specialise.families import Family
from mmspec.compiler.specialise.nodes import unused

WORDS: Final = {
    "activation": "",
    "after": "NormAfter",
    "columns": "Grid",
    "kind": "",
    "post": "PostNorm",
    "rate": "Dropout",
    "renormalise": "Renormalised",
    "shown": "Tiled",
}
"""The word for what has an attribute, where that is not its name; "": for each of its values."""


def named(families: Sequence[Family], taken: set[str]) -> dict[str, str]:
    """Names by the families' ids; the families stand in order, what others hold before them.

    The part's name where the package has one class of it; else the difference before it, where
    that can be said, or the stream of the first.
    """
    taken = set(taken)
    names: dict[str, str] = {}
    parts = {item.id: item.part for item in families}
    for item in families:
        if item.id in names:
            continue
        alike = [other for other in families if other.part == item.part]
        for other, prefix in zip(alike, _prefixes(alike, names, parts), strict=True):
            found = prefix + other.part
            owned = found if found not in taken else other.owner + other.part
            names[other.id] = unused(owned, taken)
            taken.add(names[other.id])
    return names


def _prefixes(
    alike: Sequence[Family], names: Mapping[str, str], parts: Mapping[str, str]
) -> list[str]:
    """What stands before the part's name in that of each class."""
    if len(alike) == 1:
        return [""]
    words = [_words(item, names, parts) for item in alike]
    held = {name for item in alike for name, _ in item.held}
    shared = [key for key in words[0] if all(key in each for each in words)]
    keys = [key for key in shared if len({each[key] for each in words}) > 1]
    # Of what holds others, what these are called says most, and so do both where one is not enough.
    singles = [(key,) for key in sorted(keys, key=lambda key: key not in held)]
    for chosen in chain(singles, combinations(keys, 2)):
        found = ["".join(each[key] for key in chosen) for each in words]
        if len(set(found)) == len(found):
            return found
    return [item.owner for item in alike]


def _words(family: Family, names: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    """A word, or none, for each thing in which classes of a part may differ."""
    found = dict(_own_words(family))
    for attribute, child in family.held:
        if len({other for name, other in family.held if name == attribute}) > 1:
            continue  # it has several, and is called after none of them
        name = names.get(child, "")
        found[f"{attribute} kind"] = parts[child]
        found[attribute] = name.removesuffix(parts[child])
    return found


def _own_words(family: Family) -> Iterator[tuple[str, str]]:
    for name, value in _facts(family.classes[0].statics):
        if name == "variant" and len({each.statics[name] for each in family.classes}) > 1:
            value = ""  # it serves several
        field = name.rpartition(".")[2]
        word = WORDS.get(field, _camel(field))
        if type(value) is str:
            yield name, _camel(value)
        elif value is None or type(value) in (bool, tuple):
            yield name, word if value else ""
        elif field in WORDS:
            yield name, word if value else ""


def _facts(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Constants by name; of records those fields that have a word, each with its place before."""
    for name, value in values.items():
        items = value if isinstance(value, tuple) else (value,)
        records = [item for item in items if is_dataclass(item)]
        if records and name in WORDS:
            yield name, True
        for place, record in enumerate(records):
            known = {each.name: getattr(record, each.name) for each in fields(record)}
            for path, found in _facts(known):
                if path.rpartition(".")[2] in WORDS:
                    yield f"{name}.{place}.{path}", found
        if not records:
            yield name, value


def _camel(text: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", text))
