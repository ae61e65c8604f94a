"""A reduced twin: a spec of the same structure, small enough for laws to run it many times.

Kept as they are: parts, heads' shares, kinds of layers and their order, masks, numbers of masks.
Cut, as far as the result is a valid spec: widths and heads, by factors for each width (a head keeps
8 features or more), layers (two of each kind in a run), vocabularies, categories and classes,
experts (twice as many as are chosen), grids and longest lengths (beyond two tiles, and twice
what any mask speaks of). Line numbers are the spec's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import groupby, product
from math import gcd, prod
from typing import Any, Final, Literal, get_args

from mmspec.diagnostics import MmspecError
from mmspec.expressions import mask as masks
from mmspec.schema.attention import Attention
from mmspec.schema.base import Counts, Model
from mmspec.schema.measures import Patched
from mmspec.schema.pool import mark
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.schema.validate import validate
from mmspec.text import Document
from mmspec.verify.outcome import Keys
from mmspec.verify.reference.packing import spec_masks

Factors = Mapping[int, tuple[int, int]]
Kept = Literal["head", "tokens"]
_HEAD: Final = 8
"""Features that a head keeps."""
_IDS: Final = 257
_EXPERTS: Final = 8
_ROWS: Final = (5, 7)
"""Rows and columns of a grid."""
_TOKENS: Final = 2 * 64 + 3
"""Tokens of the longest sample: more than two tiles of any kernel."""
_LAYERS: Final = 2


@dataclass(frozen=True, slots=True)
class Twin:
    """A reduced spec; cut: what was cut, from how many to how many."""

    document: Document
    spec: Spec
    cut: Mapping[str, tuple[int, int]]

    @property
    def words(self) -> str:
        """`width 768 -> 96, depth 12 -> 2, vocab 50,257 -> 257`."""
        return ", ".join(f"{name} {old:,} -> {new:,}" for name, (old, new) in self.cut.items())


def twin(spec: Spec, document: Document, keeps: tuple[Kept, ...] = ()) -> Twin | None:
    """The smallest twin that is a valid spec; None: nothing can be cut.

    keeps: what is not cut, `head` (the features of each) or `tokens` (lengths and grids).
    """
    for factors in _factors(spec, "head" in keeps):
        every = _cuts(spec, factors, long="tokens" in keeps)
        cuts = [(keys, old, new) for keys, old, new in every if old != new]
        found = _valid(spec, document, cuts)
        if found is not None:
            return found if found.cut else None
    return None


def _valid(spec: Spec, document: Document, cuts: list[tuple[Keys, Any, Any]]) -> Twin | None:
    """The spec with these values in place of those written; None where it is none then."""
    data = deepcopy(document.data)
    data.pop("claims", None)
    said: dict[str, tuple[int, int]] = {}
    for keys, old, new in cuts:
        if not _put(spec, data, keys, new):
            continue
        name = next(str(key) for key in reversed(keys) if isinstance(key, str))
        if isinstance(old, int) and old > said.get(name, (0, 0))[0]:
            said[name] = old, new
    reduced = replace(document, data=data)
    try:
        return Twin(reduced, validate(reduced), said)
    except MmspecError:
        return None


def _put(spec: Spec, data: Any, keys: Keys, value: Any) -> bool:
    """Put a value where the spec's text gives it; whether it does, and no default stands there."""
    at = spec.written(*keys)
    for index, key in enumerate(at[:-1]):
        if not isinstance(data, list) and key not in data:
            return False
        if isinstance(data[key], str):  # `linear(64)` becomes the mapping that it is short for
            said = _found(spec, keys[: index + 1 - len(at)])
            if not isinstance(said, Model):
                return False
            data[key] = said.model_dump(by_alias=True, exclude_unset=True)
        data = data[key]
    if not isinstance(data, list) and at[-1] not in data:
        return False
    data[at[-1]] = value
    return True


def _found(value: Any, keys: Keys) -> Any:
    """What stands at these keys of a spec."""
    for key in keys:
        if isinstance(value, Attention) and isinstance(key, int):
            value = (value.groups or ())[key]
        elif isinstance(value, Model):
            fields = type(value).model_fields.items()
            key = next((name for name, info in fields if key in (name, info.alias)), key)
            value = getattr(value, str(key), None)
        else:
            value = value[key]
    return value


def _factors(spec: Spec, wide: bool) -> Iterator[Factors]:
    """For streams of each width: by what a head's features, and the heads, are divided.

    The most first; wide: heads keep their features.
    """
    choices: dict[int, list[tuple[int, int]]] = {}
    for width in {stream.width for stream in spec.streams.values()}:
        alike = {name: one for name, one in spec.streams.items() if one.width == width}
        sizes = list(_sizes(alike, ("streams",)))
        widths = [value for _, what, value in sizes if what == "head"]
        heads = [value for _, what, value in sizes if what == "heads" and value > 1]
        by_width = [n for n in _divisors(gcd(*widths)) if min(widths) // n >= _HEAD]
        counts = _divisors(gcd(*heads))
        by_count = [n for n in counts if min(heads) // n > 1 and max(heads) // n > 3] or [1]
        choices[width] = list(product([1] if wide else by_width or [1], by_count))
    for place in range(max(map(len, choices.values()))):
        yield {width: each[min(place, len(each) - 1)] for width, each in choices.items()}


def _divisors(number: int) -> list[int]:
    """Its divisors, the largest first."""
    return [n for n in range(number, 0, -1) if number % n == 0]


def _sizes(value: Any, keys: Keys) -> Iterator[tuple[Keys, str, int]]:
    """Sizes below a value of the spec that say what they count: where, what, and how many."""
    if isinstance(value, Model):
        for name, info in type(value).model_fields.items():
            is_list = isinstance(value, Attention) and name == "groups"
            at = keys if is_list else (*keys, info.alias or name)
            inner = getattr(value, name)
            what = _counted((info.annotation, *info.metadata))
            if what is not None and isinstance(inner, int):
                yield at, what, inner
            else:
                yield from _sizes(inner, at)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _sizes(inner, (*keys, name))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _sizes(inner, (*keys, index))


def _counted(annotation: Any) -> str | None:
    """What a field counts."""
    parts = annotation if isinstance(annotation, tuple) else get_args(annotation)
    for part in parts:
        found = part.what if isinstance(part, Counts) else _counted(part)
        if found is not None:
            return found
    return None


def _cuts(spec: Spec, factors: Factors, long: bool) -> Iterator[tuple[Keys, Any, Any]]:
    """What is cut: where it stands, what it is, and what it becomes."""
    named = [mark(pool) or 0 for head in spec.heads.values() for pool in head.pools]
    ids = max(_IDS, *(id_ + 1 for id_ in named), 0)
    chosen = [kind.feed_forward.routed for s in spec.streams.values() for _, kind in s.kinds]
    experts = max(_EXPERTS, *(2 * routed[0] for routed in chosen if routed), 0)
    most = max(factors.values(), key=prod)
    for keys, what, old in _sizes(spec, ()):
        of = spec.streams[str(keys[1])].width if keys[0] == "streams" else old
        width, count = factors.get(of, most)
        by = {"features": width * count, "head": width, "heads": count}
        if what in by:
            yield keys, old, -(-old // by[what])
        else:
            yield keys, old, min(old, ids if what == "ids" else experts)
    for name, stream in spec.streams.items():
        yield from _layers(stream, ("streams", name))
    if not long:
        yield from _lengths(spec)


def _lengths(spec: Spec) -> Iterator[tuple[Keys, Any, Any]]:
    """Smaller grids and shorter samples."""
    every = _far(spec)
    for name, modality in spec.modalities.items():
        at, far = ("modalities", name), every.get(name, 0)
        if isinstance(modality, Patched):
            sides = zip(modality.size, modality.grid, _ROWS, strict=True)
            for axis, (old, count, few) in enumerate(sides):
                yield (*at, "size", axis), old, min(count, max(few, 2 * far + 1)) * modality.side
        length = getattr(modality, "length", None)
        if length is not None:
            steps = max(_TOKENS, 2 * far + 3)
            yield (*at, "length", "max"), length.max, min(length.max, steps * modality.step)


def _layers(stream: Stream, at: Keys) -> Iterator[tuple[Keys, Any, Any]]:
    """Fewer layers: of each run of one kind two, until there are two of each kind."""
    if stream.halting is not None or stream.depth <= _LAYERS:
        return
    if not stream.variants:
        yield (*at, "depth"), stream.depth, _LAYERS
        return
    order = [stream.order[place % len(stream.order)] for place in range(stream.depth)]
    names = [name for name, _ in stream.kinds]
    wanted = {kind: min(_LAYERS, order.count(kind)) for kind in set(order)}
    runs: list[tuple[int, int]] = []
    for kind, run in groupby(order):
        runs.append((kind, min(_LAYERS, len(list(run)))))
        have = {each: sum(n for k, n in runs if k == each) for each in wanted}
        if all(have[each] >= wanted[each] for each in wanted):
            break
    yield (*at, "depth"), stream.depth, sum(n for _, n in runs)
    yield (*at, "layers"), stream.layers, [f"{names[kind]}*{n}" for kind, n in runs]


def _far(spec: Spec) -> dict[str, int]:
    """The largest number in any mask of each segment's tokens."""
    found: dict[str, int] = {}
    for *sides, mask in spec_masks(spec):
        numbers = (n for one in masks.patterns(mask) for _, n in one.arguments)
        most = max((n for n in numbers if isinstance(n, int)), default=0)
        found |= {side: max(most, found.get(side, 0)) for side in sides}
    return found
