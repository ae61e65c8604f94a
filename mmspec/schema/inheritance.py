"""What streams, variants and sub-layers take from others, put in before anything is validated.

Nearest wins: the stream that `like` names, the stream, its variant, the entry of `block`. A
mapping changes only the keys it gives; of another `kind`, it starts afresh; all else is replaced
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mmspec.diagnostics import Diagnostic, MmspecError, dotted, shortened, suggest
from mmspec.schema.block import OWN
from mmspec.text import Document

Keys = tuple[Any, ...]
_SHAPE: Final = ("from", "width", "depth")
WHOLE: Final = (*_SHAPE, "layers", "repeat", "variants", "like", "halting", "final_norm")
"""Keys of a stream that no variant has: its shape, and what it reads."""

_OWN: Final = ("from", "halting")
"""Keys of a stream that `like` does not take."""

MERGED: Final = ("norm", "feed_forward", "scores", "rotary", "bias", "variants")
"""Keys whose mappings change what they inherit; all others are replaced."""

_BLOCK: Final = "block"
_CROSS: Final = "cross"
"""An entry that takes no relative scores from its stream, whose tokens it does not read."""

_SAME: Final = "same"
"""What an entry of `block` says that takes what the stream says."""

_LEFT_OUT: Final[Mapping[str, Any]] = {"attention": "full", "feed_forward": {"kind": "mlp"}}
"""What a stream means that says nothing of it."""


def inherited(document: Document) -> Any:
    """The document's data with each stream, variant and sub-layer whole; raises MmspecError.

    A variant then holds all keys of its stream, so that it is one itself; an entry of `block` those
    that its word may have.
    """
    data = document.data
    streams = data.get("streams") if isinstance(data, dict) else None
    if not isinstance(streams, dict) or not any(map(_inherits, streams.values())):
        return data
    found = {name: _whole(document, streams, name) for name in streams}
    return {**data, "streams": found}


def _inherits(stream: Any) -> bool:
    return isinstance(stream, dict) and any(key in stream for key in ("like", "variants", "block"))


def written(data: Any, keys: Keys) -> Keys:
    """Where the value at `keys` of what `inherited` gives was written, or is missing."""
    if keys[:1] != ("streams",) or len(keys) < 3:
        return keys
    every = list(_places(data["streams"], keys[1], keys[2:]))
    return next((place for place in every if _is_there(data, place)), every[-1])


def _places(streams: Any, name: Any, rest: Keys) -> Iterator[Keys]:
    """Where a value of a stream may stand, the nearest first."""
    chain = list(_chain(streams, name))
    ways = [rest]
    if rest[0] == "variants" and len(rest) > 2:
        ways.append(rest[2:])
    if "block" in rest:
        yield from _entry(streams, chain, ways)
        inner = rest[rest.index(_BLOCK) + 2 :]
        inner = inner[2:] if inner[:1] == ("parallel",) else inner
        ways = [(*way[: way.index(_BLOCK)], *inner) for way in ways if inner]
    yield from (("streams", each, *way) for way in ways for each in chain)


def _entry(streams: Any, chain: list[str], ways: list[Keys]) -> Iterator[Keys]:
    """Where a value of an entry of `block` stands: in the list that the entry is of."""
    every = [("streams", each, *way) for way in ways for each in chain]
    data = {"streams": streams}
    yield next(at for at in every if _is_there(data, at[: at.index(_BLOCK) + 1]))


def _chain(streams: Any, name: Any) -> Iterator[str]:
    """A stream, the one that it is like, the one that this is like, and so on."""
    seen: list[Any] = []
    while isinstance(name, str) and name in streams and name not in seen:
        seen.append(name)
        yield name
        name = streams[name].get("like") if isinstance(streams[name], dict) else None


def _is_there(data: Any, keys: Keys) -> bool:
    for key in keys:
        there = isinstance(data, Mapping) and key in data
        is_item = isinstance(data, list | tuple) and isinstance(key, int) and key < len(data)
        if not there and not is_item:
            return False
        data = data[key]
    return True


def _whole(document: Document, streams: Mapping[str, Any], name: str) -> Any:
    stream = streams[name]
    if not isinstance(stream, dict):
        return stream
    for other in list(_chain(streams, name))[1:]:
        if isinstance(streams[other], dict):
            base = {key: value for key, value in streams[other].items() if key not in _OWN}
            stream = _merged(base, stream)
    _follow(document, streams, name)
    stream = {key: value for key, value in stream.items() if key != "like"}
    variants = stream.get("variants")
    if not isinstance(variants, dict):
        return _sublayered(stream)
    base = {key: value for key, value in stream.items() if key not in WHOLE or key in _SHAPE}
    found = {}
    for key, variant in variants.items():
        if isinstance(variant, dict):
            _refuse(document, name, key, variant)
            variant = _sublayered(_merged(base, variant))
        found[key] = variant
    return {**_sublayered(stream), "variants": found}


def _sublayered(kind: dict[Any, Any]) -> dict[Any, Any]:
    """A kind of layers whose entries of `block` have what they take from it."""
    if not isinstance(kind.get("block"), list):
        return kind
    return {**kind, "block": [_whole_entry(kind, entry) for entry in kind["block"]]}


def _whole_entry(kind: Mapping[Any, Any], entry: Any) -> Any:
    """An entry with all keys of its word; what is no entry is left as it is."""
    entry = {entry: _SAME} if isinstance(entry, str) and entry in _LEFT_OUT else entry
    if not isinstance(entry, dict):
        return entry
    if isinstance(entry.get("parallel"), list):
        return {**entry, "parallel": [_whole_entry(kind, each) for each in entry["parallel"]]}
    word = next((word for word in OWN if word in entry), None)
    if word is None:
        return entry
    base = {key: value for key, value in _LEFT_OUT.items() if key == word}
    base |= {key: kind[key] for key in OWN[word] if key in kind}
    if word == _CROSS and isinstance(base.get("scores"), dict):
        own = base["scores"].items()
        base["scores"] = {key: x for key, x in own if key not in ("relative", "tied")}
    own = {key: value for key, value in entry.items() if (key, value) != (word, _SAME)}
    return _merged(base, own)


def _follow(document: Document, streams: Mapping[str, Any], name: str) -> None:
    """Refuse a `like` that names no other stream, and a circle of them."""
    stream = streams[name]
    if "like" not in stream:
        return
    other, at = stream["like"], ("streams", name, "like")
    if not isinstance(other, str) or other not in streams:
        near = suggest(str(other), [each for each in streams if each != name])
        advice = f"did you mean `{near}`?" if near else "name a stream of this spec"
        message = f"`like` names `{shortened(str(other))}`, which is no stream"
        raise MmspecError(Diagnostic("MM327", message, document.span(*at), dotted(at), advice))
    chain = list(_chain(streams, name))
    last = streams[chain[-1]]
    if isinstance(last, dict) and last.get("like") in chain:
        message = f"streams are like one another in a circle: {' -> '.join([*chain, last['like']])}"
        advice = "one of them gives its own settings"
        raise MmspecError(Diagnostic("MM327", message, document.span(*at), dotted(at), advice))


def _refuse(document: Document, name: str, key: str, variant: Mapping[Any, Any]) -> None:
    """Refuse keys that are the whole stream's."""
    for each in WHOLE:
        if each in variant:
            at = ("streams", name, "variants", key, each)
            message = f"`{each}` is of the whole stream, not of one kind of its layers"
            advice = f"give it to stream `{name}`"
            span = document.key_span(*at)
            raise MmspecError(Diagnostic("MM326", message, span, dotted(at), advice))


def _merged(base: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    """Keys of a stream over those that it inherits."""
    found = dict(base)
    for key, value in over.items():
        if key == "variants" and isinstance(value, dict) and isinstance(base.get(key), dict):
            old = base[key]
            both = {k: _merged(old[k], v) for k, v in value.items() if _mappings(old.get(k), v)}
            found[key] = {**old, **value, **both}
        elif key in MERGED and key in base:
            found[key] = _mapping(base[key], value, key)
        else:
            found[key] = value
    return found


def _mappings(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def _mapping(base: Any, over: Any, key: str) -> Any:
    """One mapping over another; a word is short for its kind; of a norm, `placement` stays."""
    if key == "rotary" and not _mappings(base, over):
        return over  # its word, `none`, is no kind
    old, new = (
        {"kind": value} if isinstance(value, str) and value.isidentifier() else value
        for value in (base, over)
    )
    if key == "bias" and old is False:
        old = {"linear": False, "norm": False}
    if not isinstance(old, dict):
        return over
    stays = {"placement": old["placement"]} if key == "norm" and "placement" in old else {}
    if not isinstance(new, dict):
        return over if not stays else {**stays, "kind": new} if isinstance(new, str) else over
    if "kind" in new and new["kind"] != old.get("kind", "layer" if key == "norm" else None):
        return {**stays, **new}
    return {**old, **new}
